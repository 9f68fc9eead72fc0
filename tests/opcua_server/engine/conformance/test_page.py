"""The page of services names tests that there are, and all of those here."""

from __future__ import annotations

import re
from pathlib import Path

from tests.harness import CLONE

PAGE = CLONE / "docs" / "opcua-services.md"


def test_every_test_on_the_page_of_services_is_there_and_every_test_here_is_on_it() -> None:
    engine = Path(__file__).parent.parent
    defined = {
        name: path.parent for path in engine.rglob("test_*.py") for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    assert not named - set(defined)
    here = {name for name, folder in defined.items() if folder == Path(__file__).parent}
    assert here - named == {"test_every_test_on_the_page_of_services_is_there_and_every_test_here_is_on_it"}
