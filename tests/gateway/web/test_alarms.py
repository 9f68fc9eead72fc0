"""The alarm list: what wants somebody is on top, and who may commands the machine handles it there."""

from __future__ import annotations

import time
from dataclasses import replace

from gate import Gate
from playwright.sync_api import expect
from watched import Watched, log_in, show

from cnctwin.link import LinkAlarm, LinkCondition, MethodFailed

TEXT = "Spindle bearing temperature is too high"


def hot(condition_id: str = "0a0a", *, severity: int = 500, code: str = "SpindleTemperature") -> LinkCondition:
    return LinkCondition(
        "CNC-001", condition_id, "ns=3;s=Hot", b"\x01\x02", code, code, TEXT, severity, time.time_ns(), True, False, True
    )


def test_an_alarm_is_acknowledged_and_confirmed_in_the_list(watched: Watched, gate: Gate) -> None:
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", time.time_ns(), 500, "SpindleTemperature", TEXT, True)))
    gate.do(lambda: gate.link.show_condition(hot()))
    page = show(watched, gate)
    rows = page.locator("#alarms li")
    expect(rows).to_have_count(1)  # the alarm and its condition are one
    expect(rows).to_contain_text("active, not acknowledged")
    expect(page.locator("#alarm-count")).to_have_text("1 active")
    expect(page.locator("#alarms button")).to_have_count(0)  # who only looks is offered nothing
    log_in(page, gate, "operator")
    expect(page.locator("#alarms button")).to_have_count(1)
    room, text, button = (page.locator(f"#alarms{part}").bounding_box() for part in ("", " .text", " button"))
    assert room is not None
    assert text is not None
    assert button is not None
    assert text["width"] > room["width"] / 2, "the words have a line of their own"
    assert button["x"] + button["width"] <= room["x"] + room["width"]
    page.click("#alarms [data-act=acknowledge]")
    expect(page.locator(".results li").first).to_contain_text("Acknowledge SpindleTemperature: done")
    expect(rows.first).to_contain_text("active, not confirmed")
    gate.link.refusal = MethodFailed(0x809A0000, "BadEventIdUnknown", "bare")
    page.click("#alarms [data-act=confirm]")
    expect(page.locator(".results li").first).to_contain_text("refused, the alarm is no longer what you saw")
    gate.link.refusal = None
    page.click("#alarms [data-act=confirm]")
    expect(page.locator("#alarms button")).to_have_count(0)
    expect(rows.first.locator("i")).to_have_text("active")
    assert [(act, event) for act, _, event, _ in gate.link.handled] == [("Acknowledge", b"\x01\x02"), ("Confirm", b"\x02\x01")]
    assert {said for _, _, _, said in gate.link.handled} == {"operator"}
    assert [text for text in watched.complaints if "409" not in text] == []


def test_the_worst_that_nobody_has_acknowledged_is_on_top(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    for condition in (hot("01", severity=400, code="B"), hot("02", severity=900, code="A"), hot("03", code="C")):
        gate.do(lambda shown=condition: gate.link.show_condition(shown))  # the page is open: by its stream
    expect(page.locator("#alarms li b")).to_have_text(["A", "C", "B"])
    expect(page.locator("#alarm-all")).to_be_hidden()  # who only looks
    log_in(page, gate, "operator")
    page.locator("#alarms li").filter(has_text="not acknowledged").first.locator("button").click()
    expect(page.locator("#alarms li b")).to_have_text(["C", "B", "A"])
    expect(page.locator("#alarm-count")).to_have_text("3 active")
    follows = replace(hot("04", severity=1000, code="D"), put_aside=True, aside_because="A")
    gate.do(lambda: gate.link.show_condition(follows))
    expect(page.locator("#alarms li b")).to_have_text(["C", "B", "A", "D"])
    expect(page.locator("#alarms li").last).to_contain_text("active, follows from A")
    expect(page.locator("#alarm-count")).to_have_text("3 active")
    page.click("#alarm-all")
    expect(page.locator(".results li").first).to_contain_text("Acknowledge 3 alarms: done")
    expect(page.locator("#alarms li").filter(has_text="not acknowledged")).to_have_count(0)
    expect(page.locator("#alarm-all")).to_be_hidden()


def test_an_end_in_words_of_its_own_ends_the_alarm_and_what_comes_later_stands(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    now = time.time_ns()

    def told(after_s: int, code: str, text: str, active: bool) -> None:
        gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", now + after_s * 1_000_000_000, 800, code, text, active)))

    told(0, "DeviceFailure", "Emergency stop", True)
    told(0, "EX1", "Door is open", True)
    expect(page.locator("#alarm-count")).to_have_text("2 active")
    told(1, "DeviceFailure", "DeviceFailure is over", False)
    expect(page.locator("#alarm-count")).to_have_text("1 active")
    expect(page.locator("#banner")).to_have_text("EX1  Door is open")
    told(2, "DeviceFailure", "Emergency stop", True)
    expect(page.locator("#alarm-count")).to_have_text("2 active")
    told(3, "EX1", "Door is open", False)
    expect(page.locator("#alarm-count")).to_have_text("1 active")
    expect(page.locator("#banner")).to_have_text("DeviceFailure  Emergency stop")
    told(4, "DeviceFailure", "Emergency stop", False)
    told(5, "EX2", "No air", True)
    told(5, "EX2", "No air", False)  # within one tick
    told(6, "EX3", "No oil", True)
    expect(page.locator("#banner")).to_have_text("EX3  No oil")
    page.reload()
    expect(page.locator("#banner")).to_have_text("EX3  No oil")


def test_who_works_with_the_keyboard_stays_where_they_are_when_the_list_changes(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    for condition in (hot("01", severity=400, code="B"), hot("02", severity=900, code="A")):
        gate.do(lambda shown=condition: gate.link.show_condition(shown))
    expect(page.locator("#alarms button")).to_have_count(2)
    page.locator("#alarms button").nth(1).focus()
    gate.do(lambda: gate.link.show_condition(hot("03", code="C")))
    expect(page.locator("#alarms li b")).to_have_text(["A", "C", "B"])
    expect(page.locator("#alarms li").nth(2).locator("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#alarms [data-act=confirm]")).to_be_focused()  # the next step for the same alarm
    page.keyboard.press("Enter")
    expect(page.locator("#alarms button")).to_have_count(2)
    expect(page.locator("#alarms")).to_be_focused()  # nothing is left to do about it
