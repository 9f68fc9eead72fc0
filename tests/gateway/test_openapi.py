"""The OpenAPI document is complete, and its examples are what a running gateway takes and answers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gate import Gate

from gateway.api.examples import ANSWERS, BODIES
from gateway.twin.detection import DETECTOR

Operations = dict[tuple[str, str], dict[str, Any]]
REFERENCE = re.compile(r"#/components/schemas/(\w+)")
ASKED = sorted(path for method, path in ANSWERS if method == "get" and path not in ("/ready", "/api/v1/commands/{command_id}"))
SENT = sorted(path for method, path in BODIES if not path.startswith("/api/v1"))


@pytest.fixture(scope="module")
def document(gate: Gate) -> dict[str, Any]:
    found: dict[str, Any] = gate.bare.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> Operations:
    return {(method, path): told for path, told_of in document["paths"].items() for method, told in told_of.items()}


def test_every_answer_and_body_has_an_example_and_every_error_a_form(operations: Operations) -> None:
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)
    for (method, path), operation in operations.items():
        answers = operation["responses"]
        good = [code for code in answers if code.startswith("2")]
        assert len(good) == 1, path
        for code, answer in answers.items():
            (content,) = answer["content"].values()
            assert "example" in content, (path, code)
            assert "schema" in content, (path, code)
        assert "default" in answers, path
        if path not in ("/health", "/ready"):
            assert {"429", "401"} <= set(answers), path
        if method == "post" and "requestBody" in operation:
            assert "example" in operation["requestBody"]["content"]["application/json"], path
            assert {"413", "422"} <= set(answers), path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (path, parameter["name"])
            assert "example" in parameter


def test_the_detectors_of_the_examples_are_those_there_are() -> None:
    told = str(ANSWERS)
    named = set(re.findall(r"'detector': '(\w+)'", told))
    assert named
    assert named <= set(DETECTOR.values())


def test_what_is_referred_to_is_there_and_nothing_else(document: dict[str, Any]) -> None:
    defined = set(document["components"]["schemas"])
    assert set(REFERENCE.findall(str(document))) == defined


@pytest.mark.parametrize("path", ["/health", "/machines/{machine_id}/commands", "/api/v1/machines", "/api/v1/login"])
def test_what_any_path_may_answer_has_the_form_that_is_told(gate: Gate, operations: Operations, path: str) -> None:
    (told,) = next(known for (_, at), known in operations.items() if at == path)["responses"]["default"]["content"].items()
    refused = gate.http.request("DELETE", path.format(machine_id="CNC-001"))
    assert (refused.status_code, refused.headers["content-type"]) == (405, told[0])
    body = refused.json()
    assert fields(body) == fields(told[1]["example"])
    if "instance" in body:
        assert body == {**told[1]["example"], "instance": path}


def fields(value: Any) -> Any:
    """The shape of an answer: names of fields; of a list that of its first item."""
    if isinstance(value, dict):
        return {name: fields(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [fields(value[0])] if value else []
    return None


def agree(told: Any, seen: Any, path: str) -> None:
    if isinstance(told, dict) and isinstance(seen, dict):
        if "Spindle/ActSpeed" in told:  # by name of the signal
            agree(told["Spindle/ActSpeed"], seen["Spindle/ActSpeed"], path)
            return
        assert set(told) == set(seen), path
        for name in told:
            agree(told[name], seen[name], f"{path}.{name}")
    elif isinstance(told, list) and isinstance(seen, list) and told and seen:
        agree(told[0], seen[0], path)


def filled(path: str, parameters: list[dict[str, Any]]) -> str:
    for parameter in parameters:
        path = path.replace("{" + parameter["name"] + "}", str(parameter["example"]))
    return path


@pytest.mark.parametrize("path", ASKED)
def test_what_is_asked_for_is_answered_as_the_example_says(gate: Gate, operations: Operations, path: str) -> None:
    operation = operations["get", path]
    answer = gate.http.get(filled(path, operation.get("parameters", [])))
    assert answer.status_code == 200, answer.text
    agree(fields(operation["responses"]["200"]["content"]["application/json"]["example"]), fields(answer.json()), path)


@pytest.mark.parametrize("path", SENT)
def test_what_is_sent_as_the_example_says_is_taken_and_answered(gate: Gate, operations: Operations, path: str) -> None:
    operation = operations["post", path]
    body = operation["requestBody"]["content"]["application/json"]["example"]
    answer = gate.http.post(filled(path, operation.get("parameters", [])), json=body)
    assert answer.status_code == 200, answer.text
    agree(fields(operation["responses"]["200"]["content"]["application/json"]["example"]), fields(answer.json()), path)


def test_a_command_of_the_example_is_taken_and_its_errors_have_the_form_told(gate: Gate, document: dict[str, Any]) -> None:
    path = "/api/v1/machines/{machine_id}/commands/{method}"
    operation = document["paths"][path]["post"]
    place = filled(path, operation["parameters"])
    given = gate.http.post(place, json=BODIES["post", path])
    assert given.status_code == 202, given.text
    agree(fields(ANSWERS["post", path]), fields(given.json()), path)
    after = gate.http.get(f"/api/v1/commands/{given.json()['id']}")
    agree(fields(ANSWERS["get", "/api/v1/commands/{command_id}"]), fields(after.json()), path)
    problem = document["components"]["schemas"]["Problem"]
    for refused in (
        gate.bare.post(place),
        gate.http.post(place, json={"arguments": {"Percent": 999}}),
        gate.http.post(place, json=[]),
    ):
        assert str(refused.status_code) in operation["responses"]
        told = refused.json()
        assert set(problem["required"]) <= set(told) <= set(problem["properties"])
        (example,) = operation["responses"][str(refused.status_code)]["content"].values()
        assert told["title"] == example["example"]["title"]
    assert told["title"] == "Unprocessable Content"  # whatever Python runs


TRUE = [
    (path, name)
    for path in SENT
    for name, value in BODIES["post", path].items()
    if isinstance(value, int | float) or name == "timestamp"
]


@pytest.mark.parametrize(("path", "name"), TRUE)
def test_true_is_no_number_and_no_time(gate: Gate, operations: Operations, path: str, name: str) -> None:
    answer = gate.http.post(filled(path, operations["post", path].get("parameters", [])), json={**BODIES["post", path], name: True})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", name]


def test_what_may_be_read_without_a_key_on_loopback_says_so(gate: Gate, operations: Operations) -> None:
    for (method, path), operation in operations.items():
        if method != "get" or "{" in path:
            continue
        without = gate.bare.get(path).status_code in (200, 503)
        assert without == ("security" not in operation or {} in operation["security"]), path
