"""fhir2cdisc: hospital FHIR in, CDISC SDTM and ADaM submission datasets with define.xml and proof out.

from adapter import build
result = build("hospital/fhir", out="package", enrolment="hospital/enrolment.csv")
result.sdtm["LB"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Result", "__version__", "build"]

if TYPE_CHECKING:
    from adapter.result import Result
    from adapter.run import build


def __getattr__(name: str) -> Any:
    # lazily, so that `import adapter.errors` in a worker does not load the whole program
    if name == "build":
        from adapter.run import build

        return build
    if name == "Result":
        from adapter.result import Result

        return Result
    raise AttributeError(f"module 'adapter' has no attribute {name!r}")
