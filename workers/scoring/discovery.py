"""The discovery document of the Perspective interface, from which Google's client libraries build their methods."""

from typing import Any

_STRING = {"type": "string"}
_SCORE = {"$ref": "Score"}


def _object(name: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _map(values: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": {"$ref": values}}


_SCHEMAS = [
    _object("TextEntry", text=_STRING, type=_STRING),
    _object("AttributeParameters", scoreType=_STRING, scoreThreshold={"type": "number", "format": "float"}),
    _object("Context", entries=_list({"$ref": "TextEntry"})),
    _object(
        "AnalyzeCommentRequest",
        comment={"$ref": "TextEntry"},
        context={"$ref": "Context"},
        requestedAttributes=_map("AttributeParameters"),
        languages=_list(_STRING),
        spanAnnotations={"type": "boolean"},
        doNotStore={"type": "boolean"},
        dropUnsupportedAttributes={"type": "boolean"},
        clientToken=_STRING,
        sessionId=_STRING,
        communityId=_STRING,
    ),
    _object("Score", value={"type": "number", "format": "float"}, type=_STRING),
    _object(
        "SpanScore",
        begin={"type": "integer", "format": "int32"},
        end={"type": "integer", "format": "int32"},
        score=_SCORE,
    ),
    _object("AttributeScores", summaryScore=_SCORE, spanScores=_list({"$ref": "SpanScore"})),
    _object(
        "AnalyzeCommentResponse",
        attributeScores=_map("AttributeScores"),
        languages=_list(_STRING),
        detectedLanguages=_list(_STRING),
        clientToken=_STRING,
        triage={"type": "object", "additionalProperties": {"type": "any"}},
    ),
]


def document(root_url: str) -> dict[str, Any]:
    """The document for a service at ``root_url``, which ends with a slash."""
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "commentanalyzer:v1alpha1",
        "name": "commentanalyzer",
        "version": "v1alpha1",
        "title": "Comments as Perspective's clients ask for them",
        "protocol": "rest",
        "rootUrl": root_url,
        "servicePath": "",
        "baseUrl": root_url,
        "batchPath": "batch",
        "parameters": {
            "key": {"type": "string", "location": "query", "description": "API key"},
            "alt": {"type": "string", "location": "query", "default": "json", "enum": ["json"]},
            "fields": {"type": "string", "location": "query"},
        },
        "schemas": {schema["id"]: schema for schema in _SCHEMAS},
        "resources": {
            "comments": {
                "methods": {
                    "analyze": {
                        "id": "commentanalyzer.comments.analyze",
                        "path": "v1alpha1/comments:analyze",
                        "flatPath": "v1alpha1/comments:analyze",
                        "httpMethod": "POST",
                        "description": "Scores of one comment for the requested attributes.",
                        "parameters": {},
                        "parameterOrder": [],
                        "request": {"$ref": "AnalyzeCommentRequest"},
                        "response": {"$ref": "AnalyzeCommentResponse"},
                    }
                }
            }
        },
    }
