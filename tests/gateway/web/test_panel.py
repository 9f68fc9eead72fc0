"""The operator panel: locked until somebody logs in, sends the command that its button names, tells what came of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_link import FakeLink
from gate import Gate, opened
from playwright.sync_api import expect
from watched import Watched, log_in, show

from cnctwin.link import MethodFailed
from nodesets.states import MachineState


def test_the_panel_is_locked_with_a_reason_until_login(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    expect(page.locator(".locked")).to_have_text("Log in to command the machine.")
    for method in ("Start", "Hold", "Stop", "Reset", "EmergencyStop", "InjectFault"):
        expect(page.locator(f"[data-method={method}]")).to_be_disabled()
    log_in(page, gate, "operator")
    expect(page.locator("[data-method=Start]")).to_be_enabled()
    expect(page.locator("[data-method=InjectFault]")).to_be_disabled()
    expect(page.locator(".locked")).to_contain_text("engineer")


def test_a_wrong_password_is_told(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    page.click("#login")
    page.fill("input[name=user]", "operator")
    page.fill("input[name=password]", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#login-problem")).to_have_text("wrong user or password")


@pytest.mark.parametrize("method", ["Start", "Hold", "Stop", "Reset"])
def test_a_key_sends_its_command_and_shows_that_it_is_done(watched: Watched, gate: Gate, method: str) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.click(f"[data-method={method}]")
    assert sent.value.url == f"{gate.base}/api/v1/machines/CNC-001/commands/{method}"
    assert sent.value.post_data_json == {"arguments": {}}
    expect(page.locator(".results li").first).to_contain_text(f"{method}: done")
    assert gate.link.calls == [("CNC-001", method, ())]


def test_of_several_machines_the_one_that_a_result_is_of_is_named(watched: Watched, tmp_path: Path) -> None:
    with opened(tmp_path, FakeLink(("MILL-1", "MILL-2"), period_s=None)) as gate:
        for name in ("MILL-1", "MILL-2"):
            gate.play(gate.link.moment(name), name)
        page = show(watched, gate)
        expect(page.locator("#fleet")).to_be_visible()
        log_in(page, gate, "operator")
        page.click("[data-method=Hold]")
        expect(page.locator(".results li span").first).to_have_text("MILL-1 Hold: done")
        page.select_option("#machine", "MILL-2")
        page.click("[data-method=Start]")
        expect(page.locator(".results li span")).to_have_text(["MILL-2 Start: done", "MILL-1 Hold: done"])


def test_a_refusal_is_told_in_words(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    gate.link.refusal = MethodFailed(0x80AF0000, "BadInvalidState", "door is open")
    page.click("[data-method=Start]")
    expect(page.locator(".results li").first).to_contain_text("Start: refused, ")
    expect(page.locator(".results li").first).to_contain_text("door is open")
    assert gate.link.calls == []


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            MethodFailed(0x80AF0000, "BadInvalidState", "The operation cannot be completed because the object is closed."),
            "Start: refused, not possible now, the machine's state is: running",
        ),
        (
            MethodFailed(0x803E0000, "BadNotFound", "A requested item was not found."),
            "Start: refused, the machine knows no such name",
        ),
    ],
)
def test_a_bare_status_code_is_put_in_plain_words(watched: Watched, gate: Gate, refusal: MethodFailed, words: str) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    gate.link.refusal = refusal
    page.click("[data-method=Start]")
    expect(page.locator(".results li span").first).to_have_text(words)


def test_an_emergency_stop_is_confirmed_first(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    page.click("[data-method=EmergencyStop]")
    page.click("#confirm-dialog button[value=no]")
    expect(page.locator("#confirm-dialog")).to_be_hidden()
    assert gate.link.calls == []
    page.click("[data-method=EmergencyStop]")
    page.click("#confirm-yes")
    expect(page.locator(".results li").first).to_contain_text("Emergency stop: done")
    assert gate.link.calls == [("CNC-001", "EmergencyStop", ())]
    expect(page.locator("#banner")).to_contain_text("EX0001")


def test_an_override_is_sent_once_and_follows_the_machine(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    slider = page.get_by_label("Feed override, percent")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".results li").first).to_contain_text("Feed override 95 %: done")
    assert gate.link.calls == [("CNC-001", "SetFeedOverride", (95.0,))]
    gate.play({"Channel/FeedOverride": 40.0})
    expect(slider).to_have_value("40")


def test_the_programs_to_choose_from_are_those_the_machine_offers(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    offered = page.locator("#programs option")
    expect(offered).to_have_count(2)
    assert [option.get_attribute("value") for option in offered.all()] == ["contour.nc", "pocket.nc"]
    gate.play({"Channel/ProgramNames": ["bracket.nc", "contour.nc", "pocket.nc"]})
    expect(offered).to_have_count(3)
    assert offered.first.get_attribute("value") == "bracket.nc"


def test_a_slider_stays_where_the_hand_is_until_the_machine_shows_it(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    slider = page.get_by_label("Feed override, percent")
    slider.focus()
    # The machine takes the first and does not show it; the second goes on from there, not from what the machine shows.
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".results li", has_text="done")).to_have_count(2)
    assert [arguments for _, _, arguments in gate.link.calls] == [(95.0,), (90.0,)]
    gate.play({"Channel/FeedOverride": 90.0})
    gate.play({"Channel/FeedOverride": 55.0})
    expect(slider).to_have_value("55")


def test_a_slider_goes_back_where_the_machine_refused(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    gate.link.refusal = MethodFailed(0x80AF0000, "BadInvalidState", "door is open")
    slider = page.get_by_label("Feed override, percent")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".results li").first).to_contain_text("Feed override 95 %: refused")
    expect(slider).to_have_value("100")


def test_a_program_is_loaded_by_name(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    page.click("[data-method=Hold]")
    expect(page.locator(".results li").first).to_contain_text("Hold: done")
    page.fill("[aria-label='Program to load']", "flange.nc")
    page.keyboard.press("Enter")
    expect(page.locator(".results li").first).to_contain_text("Load flange.nc: done")
    assert gate.link.calls[-1] == ("CNC-001", "LoadProgram", ("flange.nc",))


def test_an_engineer_injects_and_clears_a_fault_and_sees_the_truth(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "engineer")
    page.select_option("[aria-label=Fault]", "coolant")
    page.click("[data-method=InjectFault]")
    expect(page.locator(".results li").first).to_contain_text("Inject fault coolant: done")
    assert gate.link.calls == [("CNC-001", "InjectFault", ("coolant", 0.6, 30.0))]
    expect(page.locator(".truth")).to_have_text("no fault")
    gate.play({"Simulation/FaultSeverities": [0.0, 0.0, 0.25, 0.0, 0.0]})
    expect(page.locator(".truth")).to_have_text("coolant 0.25")
    page.click("[data-method=ClearFault]")
    expect(page.locator(".results li").first).to_contain_text("Clear faults All: done")
    assert gate.link.calls[-1] == ("CNC-001", "ClearFault", ("All",))


def test_logging_out_locks_the_panel_again(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    expect(page.locator("#who")).to_have_text("operator · Operator")
    page.click("#login")
    expect(page.locator("[data-method=Start]")).to_be_disabled()
    expect(page.locator("#who")).to_have_text("view only")


def test_a_program_of_ones_own_is_sent_and_loaded(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    file = page.get_by_label("NC program from this computer, sent to the machine and loaded")
    log_in(page, gate, "operator")
    expect(file).to_be_disabled()
    page.click("#login")
    log_in(page, gate, "engineer")
    gate.link.states["CNC-001"] = MachineState.IDLE
    text = "(ä part)\n" + "G1 X1 F100\n" * 10_000  # more than other requests may carry
    file.set_input_files({"name": "my part.nc", "mimeType": "text/plain", "buffer": text.encode()})
    expect(page.locator(".results li").first).to_contain_text("Send my_part.nc: done")
    assert gate.link.calls == [("CNC-001", "LoadProgramText", ("my_part.nc", text))]
    file.set_input_files({"name": "huge.nc", "mimeType": "text/plain", "buffer": b"G1 X1\n" * 100_000})
    expect(page.locator(".results li").first).to_contain_text("huge.nc: refused, it is larger than 350 kB")
    assert len(gate.link.calls) == 1


def test_a_narrow_window_shows_everything_without_scrolling_sideways(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "engineer")
    for width in (320, 360, 390, 820, 1180):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = page.evaluate("[...document.querySelectorAll('.charts h2')].filter((h) => h.scrollWidth > h.clientWidth).length")
        assert cut == 0, f"headings of charts are cut off at {width}"


def test_somebody_begins_and_ends_work_on_the_machine_and_switches_it_off_and_on(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    log_in(page, gate, "operator")
    expect(page.get_by_text("Power and maintenance")).to_be_hidden()
    gate.play({"Machine/MaintenanceMode": ""})
    page.get_by_text("Power and maintenance").click()
    page.get_by_label("Kind of work").select_option("Repair")
    for method, words in (
        ("BeginMaintenance", "Begin work"),
        ("EndMaintenance", "End work"),
        ("SwitchOff", "Switch off"),
        ("SwitchOn", "Switch on"),
    ):
        page.click(f"[data-method={method}]")
        if method == "SwitchOff":
            page.click("#confirm-yes")
        expect(page.locator(".results li").first).to_contain_text(f"{words}: done")
    assert [call[1:] for call in gate.link.calls] == [
        ("BeginMaintenance", ("Repair",)), ("EndMaintenance", ()), ("SwitchOff", ()), ("SwitchOn", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(("commands", "shown", "enabled"), [((), False, []), (("Hold", "Start"), True, ["Hold", "Start"])])
def test_what_a_machine_does_not_take_is_not_offered(
    watched: Watched, tmp_path: Path, commands: tuple[str, ...], shown: bool, enabled: list[str]
) -> None:
    link = FakeLink(period_s=None)
    link.machines["CNC-001"] = replace(link.machines["CNC-001"], methods=frozenset(commands))
    with opened(tmp_path, link) as gate:
        gate.play({"Spindle/ActSpeed": 900.0, "Channel/FeedOverride": 100.0})
        page = show(watched, gate)
        page.click("#login")
        page.fill("input[name=user]", "engineer")
        page.fill("input[name=password]", gate.password["engineer"])
        page.click("#login-form button[type=submit]")
        page.wait_for_selector("#login-dialog", state="hidden")
        told = page.locator(".locked")
        expect(told).to_have_text("" if shown else "This machine takes no commands from here.")
        estop = page.locator("[data-method=EmergencyStop]")
        expect(estop).to_be_visible(visible=shown)
        expect(estop).to_be_disabled()
        buttons = page.locator("#operator button[data-method]:not(:disabled)")
        assert sorted(buttons.evaluate_all("all => all.map((one) => one.dataset.method)")) == enabled
