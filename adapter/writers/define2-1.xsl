<?xml version="1.0" encoding="UTF-8"?>
<!-- Shows a Define-XML 2.1 document as one HTML page: no script, nothing loaded from elsewhere. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:odm="http://www.cdisc.org/ns/odm/v1.3" xmlns:def="http://www.cdisc.org/ns/def/v2.1"
    xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:arm="http://www.cdisc.org/ns/arm/v1.0"
    exclude-result-prefixes="odm def xlink arm">
  <xsl:output method="html" encoding="UTF-8" indent="no" doctype-system="about:legacy-compat"/>
  <xsl:strip-space elements="*"/>

  <xsl:key name="item" match="odm:ItemDef" use="@OID"/>
  <xsl:key name="use" match="odm:ItemRef" use="@ItemOID"/>
  <xsl:key name="levels" match="odm:ItemDef" use="def:ValueListRef/@ValueListOID"/>
  <xsl:key name="codelist" match="odm:CodeList" use="@OID"/>
  <xsl:key name="method" match="odm:MethodDef" use="@OID"/>
  <xsl:key name="comment" match="def:CommentDef" use="@OID"/>
  <xsl:key name="standard" match="def:Standard" use="@OID"/>
  <xsl:key name="valuelist" match="def:ValueListDef" use="@OID"/>
  <xsl:key name="group" match="odm:ItemGroupDef" use="@OID"/>
  <xsl:key name="where" match="def:WhereClauseDef" use="@OID"/>
  <xsl:key name="leaf" match="def:leaf" use="@ID"/>

  <xsl:template match="/odm:ODM/odm:Study">
    <html lang="en">
      <head>
        <title><xsl:value-of select="concat(odm:GlobalVariables/odm:StudyName, ' – data definitions')"/></title>
        <style>
          body { font: 14px/1.4 sans-serif; margin: 1em 2em; color: #222; }
          table { border-collapse: collapse; width: 100%; margin: .4em 0 1.6em; }
          caption { text-align: left; font-weight: bold; padding: .3em 0; }
          th, td { border: 1px solid #bbb; padding: .25em .5em; text-align: left; vertical-align: top; }
          th { background: #e8edf3; }
          nav a { margin-right: 1em; }
          tr:target, h3:target { background: #fff4c2; }
          .level td:first-child { padding-left: 1.6em; }
          .level td { background: #f7f7f7; }
          .note { color: #666; }
          p.text { margin: 0; white-space: pre-wrap; }
        </style>
      </head>
      <body>
        <xsl:apply-templates select="odm:GlobalVariables"/>
        <xsl:apply-templates select="odm:MetaDataVersion"/>
      </body>
    </html>
  </xsl:template>

  <xsl:template match="odm:GlobalVariables">
    <h1><xsl:value-of select="odm:StudyName"/></h1>
    <p><xsl:value-of select="odm:StudyDescription"/></p>
    <p>Protocol <xsl:value-of select="odm:ProtocolName"/>. <xsl:value-of select="../odm:MetaDataVersion/@Name"/>.
      Define-XML <xsl:value-of select="../odm:MetaDataVersion/@def:DefineVersion"/>, created
      <xsl:value-of select="/odm:ODM/@CreationDateTime"/>
      <xsl:if test="/odm:ODM/@SourceSystem"> by <xsl:value-of select="/odm:ODM/@SourceSystem"/></xsl:if>.</p>
  </xsl:template>

  <xsl:template match="odm:MetaDataVersion">
    <xsl:if test="@Description"><p><xsl:value-of select="@Description"/></p></xsl:if>
    <xsl:call-template name="comment"/>
    <nav>
      <a href="#standards">Standards</a> <a href="#documents">Documents</a> <a href="#datasets">Datasets</a>
      <a href="#codelists">Codelists</a> <a href="#methods">Methods</a> <a href="#comments">Comments</a>
      <xsl:if test="arm:AnalysisResultDisplays"><xsl:text> </xsl:text><a href="#results">Analysis results</a></xsl:if>
    </nav>
    <h2 id="standards">Standards</h2>
    <table>
      <tr><th>Standard</th><th>Type</th><th>Version</th><th>Status</th><th>Comment</th></tr>
      <xsl:for-each select="def:Standards/def:Standard">
        <tr id="{@OID}">
          <td><xsl:value-of select="@Name"/><xsl:text> </xsl:text><xsl:value-of select="@PublishingSet"/></td>
          <td><xsl:value-of select="@Type"/></td><td><xsl:value-of select="@Version"/></td>
          <td><xsl:value-of select="@Status"/></td><td><xsl:call-template name="comment"/></td>
        </tr>
      </xsl:for-each>
    </table>
    <h2 id="documents">Documents</h2>
    <ul>
      <xsl:for-each select="def:leaf">
        <li id="{@ID}"><a href="{@xlink:href}"><xsl:value-of select="def:title"/></a></li>
      </xsl:for-each>
    </ul>
    <h2 id="datasets">Datasets</h2>
    <table>
      <tr><th>Dataset</th><th>Label</th><th>Class</th><th>Structure</th><th>Purpose</th><th>Keys</th>
        <th>Standard</th><th>File</th><th>Comment</th></tr>
      <xsl:apply-templates select="odm:ItemGroupDef" mode="row"/>
    </table>
    <xsl:apply-templates select="odm:ItemGroupDef"/>
    <h2 id="codelists">Codelists</h2>
    <xsl:apply-templates select="odm:CodeList"/>
    <h2 id="methods">Methods</h2>
    <table>
      <tr><th>Name</th><th>Type</th><th>Description</th></tr>
      <xsl:for-each select="odm:MethodDef">
        <tr id="{@OID}"><td><xsl:value-of select="@Name"/></td><td><xsl:value-of select="@Type"/></td>
          <td><xsl:call-template name="text"/></td></tr>
      </xsl:for-each>
    </table>
    <h2 id="comments">Comments</h2>
    <table>
      <tr><th>Comment</th><th>Text</th></tr>
      <xsl:for-each select="def:CommentDef">
        <tr id="{@OID}"><td><xsl:value-of select="@OID"/></td><td><xsl:call-template name="text"/></td></tr>
      </xsl:for-each>
    </table>
    <xsl:apply-templates select="arm:AnalysisResultDisplays"/>
  </xsl:template>

  <xsl:template match="arm:AnalysisResultDisplays">
    <h2 id="results">Analysis results</h2>
    <xsl:for-each select="arm:ResultDisplay">
      <h3 id="{@OID}"><xsl:value-of select="@Name"/></h3>
      <p>
        <xsl:for-each select="def:DocumentRef">
          <a href="{key('leaf', @leafID)/@xlink:href}"><xsl:value-of select="key('leaf', @leafID)/def:title"/></a>
        </xsl:for-each>
      </p>
      <table>
        <tr><th>Result</th><th>Purpose</th><th>Reason</th><th>Records</th><th>Variables</th><th>Documentation</th></tr>
        <xsl:for-each select="arm:AnalysisResult">
          <tr id="{@OID}">
            <td><xsl:call-template name="text"/></td>
            <td><xsl:value-of select="@AnalysisPurpose"/></td><td><xsl:value-of select="@AnalysisReason"/></td>
            <td>
              <xsl:for-each select="arm:AnalysisDatasets/arm:AnalysisDataset">
                <xsl:if test="position() &gt; 1"><br/></xsl:if>
                <a href="#{@ItemGroupOID}"><xsl:value-of select="key('group', @ItemGroupOID)/@Name"/></a>
                <xsl:for-each select="def:WhereClauseRef">
                  <xsl:text>: </xsl:text><xsl:apply-templates select="key('where', @WhereClauseOID)"/>
                </xsl:for-each>
              </xsl:for-each>
            </td>
            <td>
              <xsl:for-each select="arm:AnalysisDatasets/arm:AnalysisDataset/arm:AnalysisVariable">
                <xsl:if test="position() &gt; 1">, </xsl:if><xsl:value-of select="key('item', @ItemOID)/@Name"/>
              </xsl:for-each>
            </td>
            <td><xsl:for-each select="arm:Documentation"><xsl:call-template name="text"/></xsl:for-each></td>
          </tr>
        </xsl:for-each>
      </table>
    </xsl:for-each>
  </xsl:template>

  <xsl:template match="odm:ItemGroupDef" mode="row">
    <tr>
      <td><a href="#{@OID}"><xsl:value-of select="@Name"/></a></td>
      <td><xsl:value-of select="odm:Description/odm:TranslatedText"/>
        <xsl:for-each select="odm:Alias"> (<xsl:value-of select="@Name"/>)</xsl:for-each></td>
      <td><xsl:value-of select="def:Class/@Name"/>
        <xsl:for-each select="def:Class/def:SubClass"> / <xsl:value-of select="@Name"/></xsl:for-each></td>
      <td><xsl:value-of select="@def:Structure"/></td>
      <td><xsl:value-of select="@Purpose"/><xsl:if test="@IsReferenceData='Yes'">, reference data</xsl:if></td>
      <td>
        <xsl:for-each select="odm:ItemRef[@KeySequence]">
          <xsl:sort select="@KeySequence" data-type="number"/>
          <xsl:if test="position() &gt; 1">, </xsl:if><xsl:value-of select="key('item', @ItemOID)/@Name"/>
        </xsl:for-each>
      </td>
      <td><xsl:call-template name="standard"/></td>
      <td>
        <xsl:for-each select="def:leaf">
          <a href="{@xlink:href}"><xsl:value-of select="def:title"/></a>
        </xsl:for-each>
        <xsl:if test="@def:HasNoData='Yes'"><span class="note">no data</span></xsl:if>
      </td>
      <td><xsl:call-template name="comment"/></td>
    </tr>
  </xsl:template>

  <xsl:template match="odm:ItemGroupDef">
    <h3 id="{@OID}"><xsl:value-of select="@Name"/> – <xsl:value-of select="odm:Description/odm:TranslatedText"/></h3>
    <table>
      <tr><th>Variable</th><th>Where</th><th>Label</th><th>Key</th><th>Type</th><th>Length</th><th>Values</th>
        <th>Role</th><th>Origin</th><th>Method, comment</th></tr>
      <xsl:for-each select="odm:ItemRef">
        <xsl:apply-templates select="."/>
        <xsl:variable name="list" select="key('item', @ItemOID)/def:ValueListRef/@ValueListOID"/>
        <xsl:apply-templates select="key('valuelist', $list)/odm:ItemRef">
          <xsl:with-param name="first" select="generate-id() = generate-id(key('use', key('levels', $list)[1]/@OID)[1])"/>
        </xsl:apply-templates>
      </xsl:for-each>
    </table>
    <p><a href="#datasets">Back to datasets</a></p>
  </xsl:template>

  <!-- A variable, or a value level of it. What is shown more than once has its anchor at the first place. -->
  <xsl:template match="odm:ItemRef">
    <xsl:param name="first" select="true()"/>
    <xsl:variable name="item" select="key('item', @ItemOID)"/>
    <tr>
      <xsl:if test="$first and generate-id() = generate-id(key('use', @ItemOID)[1])">
        <xsl:attribute name="id"><xsl:value-of select="@ItemOID"/></xsl:attribute>
      </xsl:if>
      <xsl:if test="parent::def:ValueListDef"><xsl:attribute name="class">level</xsl:attribute></xsl:if>
      <td><xsl:value-of select="$item/@Name"/>
        <xsl:if test="@def:IsNonStandard='Yes'"> <span class="note">non-standard</span></xsl:if></td>
      <td>
        <xsl:for-each select="def:WhereClauseRef">
          <xsl:if test="position() &gt; 1"> or </xsl:if>
          <xsl:apply-templates select="key('where', @WhereClauseOID)"/>
        </xsl:for-each>
      </td>
      <td><xsl:value-of select="$item/odm:Description/odm:TranslatedText"/></td>
      <td><xsl:value-of select="@KeySequence"/></td>
      <td><xsl:value-of select="$item/@DataType"/>
        <xsl:if test="@def:HasNoData='Yes'"> <span class="note">no data</span></xsl:if></td>
      <td><xsl:value-of select="$item/@Length"/>
        <xsl:if test="$item/@SignificantDigits">.<xsl:value-of select="$item/@SignificantDigits"/></xsl:if></td>
      <td>
        <xsl:for-each select="$item/odm:CodeListRef">
          <a href="#{@CodeListOID}"><xsl:value-of select="key('codelist', @CodeListOID)/@Name"/></a>
        </xsl:for-each>
        <xsl:if test="$item/@def:DisplayFormat"> format <xsl:value-of select="$item/@def:DisplayFormat"/></xsl:if>
      </td>
      <td><xsl:value-of select="@Role"/></td>
      <td>
        <xsl:for-each select="$item/def:Origin">
          <xsl:value-of select="@Type"/><xsl:if test="@Source"> (<xsl:value-of select="@Source"/>)</xsl:if>
          <xsl:if test="odm:Description">: <xsl:value-of select="odm:Description/odm:TranslatedText"/></xsl:if>
        </xsl:for-each>
      </td>
      <td>
        <xsl:if test="@MethodOID">
          <a href="#{@MethodOID}"><xsl:value-of select="key('method', @MethodOID)/@Name"/></a>
          <xsl:for-each select="key('method', @MethodOID)"><xsl:call-template name="text"/></xsl:for-each>
        </xsl:if>
        <xsl:for-each select="$item"><xsl:call-template name="comment"/></xsl:for-each>
      </td>
    </tr>
  </xsl:template>

  <xsl:template match="def:WhereClauseDef">
    <xsl:for-each select="odm:RangeCheck">
      <xsl:if test="position() &gt; 1"> and </xsl:if>
      <a href="#{@def:ItemOID}"><xsl:value-of select="key('item', @def:ItemOID)/@Name"/></a>
      <xsl:value-of select="concat(' ', @Comparator, ' ')"/>
      <xsl:for-each select="odm:CheckValue">
        <xsl:if test="position() &gt; 1">, </xsl:if>"<xsl:value-of select="."/>"</xsl:for-each>
    </xsl:for-each>
    <xsl:call-template name="comment"/>
  </xsl:template>

  <xsl:template match="odm:CodeList">
    <h3 id="{@OID}"><xsl:value-of select="@Name"/>
      <span class="note"> <xsl:value-of select="concat(' ', odm:Alias/@Name, ' ')"/> <xsl:value-of select="@DataType"/>,
      <xsl:call-template name="standard"/></span></h3>
    <xsl:call-template name="comment"/>
    <xsl:for-each select="odm:ExternalCodeList">
      <p>Dictionary <xsl:value-of select="concat(@Dictionary, ', version ', @Version, ' ', @ref, ' ', @href)"/></p>
    </xsl:for-each>
    <xsl:if test="odm:CodeListItem | odm:EnumeratedItem">
      <table>
        <tr><th>Value</th><th>Decode</th><th>C-code</th></tr>
        <xsl:for-each select="odm:CodeListItem | odm:EnumeratedItem">
          <tr><td><xsl:value-of select="@CodedValue"/></td>
            <td><xsl:value-of select="(odm:Decode | odm:Description)/odm:TranslatedText"/></td>
            <td><xsl:value-of select="odm:Alias/@Name"/><xsl:if test="@def:ExtendedValue='Yes'">extended</xsl:if></td></tr>
        </xsl:for-each>
      </table>
    </xsl:if>
  </xsl:template>

  <xsl:template name="standard">
    <xsl:for-each select="key('standard', @def:StandardOID)">
      <a href="#{@OID}"><xsl:value-of select="@Name"/><xsl:text> </xsl:text>
        <xsl:if test="@PublishingSet"><xsl:value-of select="@PublishingSet"/><xsl:text> </xsl:text></xsl:if>
        <xsl:value-of select="@Version"/></a>
    </xsl:for-each>
    <xsl:if test="@def:IsNonStandard='Yes'"><span class="note">non-standard</span></xsl:if>
  </xsl:template>

  <xsl:template name="comment">
    <xsl:if test="@def:CommentOID">
      <a href="#{@def:CommentOID}">Comment</a>
      <xsl:for-each select="key('comment', @def:CommentOID)"><xsl:call-template name="text"/></xsl:for-each>
    </xsl:if>
  </xsl:template>

  <xsl:template name="text">
    <p class="text"><xsl:value-of select="odm:Description/odm:TranslatedText"/></p>
    <xsl:for-each select="odm:FormalExpression"><pre><xsl:value-of select="concat(@Context, ': ', .)"/></pre></xsl:for-each>
    <xsl:for-each select="def:DocumentRef">
      <a href="{key('leaf', @leafID)/@xlink:href}"><xsl:value-of select="key('leaf', @leafID)/def:title"/></a>
      <xsl:for-each select="def:PDFPageRef"> p. <xsl:value-of select="@PageRefs"/></xsl:for-each>
    </xsl:for-each>
  </xsl:template>
</xsl:stylesheet>
