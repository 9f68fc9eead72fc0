"""What an operator sees on the page is what the gateway streams, and never looks better than it is."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from fake_link import FakeLink
from gate import Gate, opened
from playwright.sync_api import Browser, expect
from watched import Watched, show

from cnctwin.link import LinkAlarm, Remark
from cnctwin.reading import BAD_SENSOR_FAILURE, BAD_WAITING_FOR_INITIAL_DATA, Reading

PROBE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
X = "[data-position=X]"


def bad(name: str, status: int) -> Reading:
    return Reading(name, None, status, time.time_ns(), time.time_ns())


def test_position_on_the_page_is_the_value_of_the_stream(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    for position_mm in (-123.45678, -0.00001, -761.5):
        gate.play({"Axes/X/MotorPos": position_mm})
        expect(page.locator(X)).to_have_text(f"{position_mm:.3f}".replace("-0.000", "0.000"))
        streamed = gate.http.get("/api/v1/machines/CNC-001/signals/Axes/X/MotorPos").json()
        assert streamed["value"] == position_mm
    expect(page.locator(X)).to_have_attribute("data-q", "good")
    z = page.locator("[data-position=Z]")
    gate.play({"Axes/Z/MotorPos": -305.0, "Axes/Z/ZeroOffset": -420.0, "Tool/LengthOffset": 118.0})
    expect(z).to_have_text("-3.000")  # of the tip, from the work zero
    lag, scale = (page.locator("#axes tr").nth(2).locator("td").nth(column) for column in (2, 3))
    gate.play({"Axes/Z/CmdPos": -305.002, "Axes/Z/ActPos": -304.98})
    expect(lag).to_have_text("-2")
    expect(scale).to_have_text("20")
    page.click("[data-frame=machine]")
    expect(z).to_have_text("-305.000")
    page.click("[data-frame=work]")
    gate.play({"Tool/LengthOffset": bad("Tool/LengthOffset", BAD_SENSOR_FAILURE)})
    expect(z).to_have_attribute("data-q", "bad")


def test_state_program_and_block_are_shown(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    expect(page.locator("#state")).to_have_text("Running")
    expect(page.locator("#lamps [data-lamp=Green]")).to_have_class("on")
    expect(page.locator("#blocks li")).to_have_text(["G1 X-350. F800", "Y-220.", "X-410."])
    expect(page.locator("[data-signal='Channel/ActMainProgramName']")).to_have_text("pocket.nc")
    expect(page.locator("#modal")).to_have_text("G1 G17 G21 G54 G90 M3 M8")


def test_a_lost_machine_keeps_its_values_but_never_looks_live(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    gate.play({"Axes/X/MotorPos": -55.5})
    expect(page.locator(X)).to_have_text("-55.500")
    gate.do(gate.link.lose)
    expect(page.locator("#link")).to_contain_text("no communication")
    expect(page.locator("body")).to_have_class("lost")
    expect(page.locator(X)).to_have_attribute("data-q", "uncertain")
    expect(page.locator(X)).to_have_text("-55.500")
    gate.do(gate.link.return_)
    gate.play({**gate.link.moment("CNC-001"), "Axes/X/MotorPos": -56.5})
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator(X)).to_have_text("-56.500")


def test_a_lost_gateway_greys_the_page_at_once_and_locks_the_panel(watched: Watched, browser: Browser, tmp_path: Path) -> None:
    with opened(tmp_path, FakeLink(period_s=None)) as gate:
        gate.play(gate.link.moment("CNC-001"))
        page = show(watched, gate)
    expect(page.locator("#link")).to_have_text("connection lost")
    expect(page.locator("body")).to_have_class("lost")
    expect(page.locator(".locked")).to_contain_text("No connection")


def test_the_page_comes_back_by_itself_with_what_it_missed(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    page.context.set_offline(True)
    expect(page.locator("#link")).to_have_text("connection lost")
    gate.play({"Axes/X/MotorPos": -77.25})
    page.context.set_offline(False)
    expect(page.locator(X)).to_have_text("-77.250")
    expect(page.locator("#link")).to_have_text("live")


def test_one_bad_signal_is_hatched_with_its_reason_and_listed_after_what_is_the_matter_with_the_server(
    watched: Watched, gate: Gate
) -> None:
    gate.link.remarks = (Remark("", "the server's clock is 7200 s ahead of ours"), Remark("CNC-009", "another's"))
    page = show(watched, gate)
    expect(page.locator("#link")).to_have_text("live, see why")
    gate.play({"Coolant/Flow": bad("Coolant/Flow", BAD_SENSOR_FAILURE)})
    flow = page.locator("[data-signal='Coolant/Flow']")
    expect(flow).to_have_attribute("data-q", "bad")
    expect(flow.locator("b")).to_have_text("–")
    assert "sensor failure" in (flow.get_attribute("title") or "")
    expect(page.locator("#link")).to_have_text("live, 1 not good")
    page.click("#trust summary")
    expect(page.locator("#trust-list li")).to_have_text([gate.link.remarks[0].text, "Coolant/Flow bad: sensor failure"])


def test_a_detector_that_still_learns_says_so_and_shows_no_number(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    names = ("Analytics/AnomalyScore", "Analytics/ToolRul", "Analytics/ToolRulLow", "Analytics/ToolRulHigh")
    gate.play({name: bad(name, BAD_WAITING_FOR_INITIAL_DATA) for name in names})
    for name in names:
        expect(page.locator(f"[data-signal='{name}'] b")).to_have_text("learning…")
    expect(page.locator("#anomaly")).to_have_text("learning…")
    expect(page.locator("#link")).to_have_text("live")


def test_markup_in_any_text_of_the_machine_stays_text(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    names = ("Channel/ActMainProgramName", "Machine/AlarmText", "Analytics/Explanation", "Tool/Type")
    gate.play(dict.fromkeys(names, PROBE))
    gate.play({"Machine/AlarmCode": PROBE, "Channel/ActProgramBlock": [PROBE] * 3, "Simulation/FaultNames": [PROBE]})
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", time.time_ns(), 900, "PS0010", PROBE, True)))
    expect(page.locator("#alarms .active .text").filter(has_text="onerror")).to_have_count(2)
    expect(page.locator("#banner")).to_contain_text(PROBE)
    expect(page.locator("#explanation")).to_have_text(PROBE)
    expect(page.locator("main img, main script, .cockpit img, #banner img")).to_have_count(0)
    assert page.title() == "CNC-001 · cnctwin"
    assert watched.complaints == []


def test_alarms_move_from_active_to_past_and_are_announced(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    at_ns = time.time_ns()
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", at_ns, 700, "PS0020", "OVER TOLERANCE OF RADIUS", True)))
    expect(page.locator("#alarms .active")).to_contain_text("PS0020")
    expect(page.locator("#announce")).to_have_text("Alarm PS0020: OVER TOLERANCE OF RADIUS")
    # What comes beside it is said too, and nothing twice: the banner shows all of them and is not read out.
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", at_ns - 10**9, 600, "EX1001", "DOOR OPEN", True)))
    expect(page.locator("#announce")).to_have_text("Alarm EX1001: DOOR OPEN")
    expect(page.locator("#banner")).to_contain_text("PS0020")
    assert page.locator("#banner").get_attribute("role") == "region"
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", at_ns + 10**8, 600, "EX1001", "DOOR OPEN", False)))
    expect(page.locator("#alarm-count")).to_have_text("1 active")
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", at_ns + 10**9, 700, "PS0020", "OVER TOLERANCE OF RADIUS", False)))
    expect(page.locator("#alarm-count")).to_have_text("none active")
    expect(page.locator("#announce")).to_have_text("No alarm is active")
    expect(page.locator("#alarms .past")).to_have_count(4)
    expect(page.locator("#banner")).to_be_hidden()


def test_a_machine_with_few_signals_shows_only_what_it_has(watched: Watched, tmp_path: Path) -> None:
    with opened(tmp_path, FakeLink(period_s=None)) as gate:
        gate.play({"Machine/State": 3, "Axes/X/ActPos": -1.0, "Spindle/ActSpeed": 900.0})
        page = show(watched, gate)
        expect(page.locator(X)).to_have_text("-1.000")
        expect(page.locator("#frames")).to_be_hidden()
        expect(page.locator("#axes .scale").first).to_be_hidden()
        expect(page.locator("[data-needs='Analytics/']")).to_be_hidden()
        expect(page.locator("[data-needs='Coolant/ Power/']")).to_be_hidden()
        expect(page.locator("details.faults")).to_be_hidden()
        expect(page.locator("[data-position=Z]")).to_have_attribute("data-q", "missing")
        assert watched.complaints == []


def test_many_machines_have_a_strip_and_each_can_be_chosen(watched: Watched, tmp_path: Path) -> None:
    ids = ("CNC-001", "CNC-002", "CNC-003")
    with opened(tmp_path, FakeLink(ids, period_s=None), machines=3) as gate:
        for number, machine_id in enumerate(ids):
            gate.play({**gate.link.moment(machine_id), "Axes/X/MotorPos": -10.0 - number}, machine_id)
        gate.play({"Machine/State": 6, "Machine/AlarmCode": "SV0401"}, "CNC-003")
        page = show(watched, gate)
        expect(page.locator("#fleet button")).to_have_count(3)
        third = page.locator("#fleet [data-machine=CNC-003]")
        expect(third).to_contain_text("Alarm")
        expect(third).to_contain_text("SV0401")
        third.click()
        expect(page.locator(X)).to_have_text("-12.000")
        page.select_option("#machine", "CNC-002")
        expect(page.locator(X)).to_have_text("-11.000")


def test_nothing_is_fetched_from_elsewhere_and_the_policy_is_kept(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    for turn in range(5):
        gate.play({"Axes/X/MotorPos": -100.0 - turn, "Axes/X/ActPos": -100.0 - turn, "Spindle/ActSpeed": 8000.0 + turn})
    expect(page.locator(X)).to_have_text("-104.000")
    expect(page.locator(".u-wrap canvas").first).to_be_visible()
    assert {urlsplit(url).netloc for url in watched.requests if not url.startswith("data:")} == {urlsplit(gate.base).netloc}
    assert watched.violations() == []
    assert watched.complaints == []


def test_no_line_is_drawn_over_a_time_that_history_has_nothing_of(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    points = [["2026-11-26T06:00:00Z", 1.0], ["2026-11-26T06:00:01Z", 2.0], ["2026-11-26T06:01:00Z", 3.0]]
    page.route("**/history/**", lambda route: route.fulfill(json={"points": points}))
    times, _set, actual = page.evaluate(
        """async () => {
          const { Trends } = await import("/js/trends.js");
          const trends = new Trends(document.createElement("div"));
          await trends.seed("CNC-001", "2026-11-26T06:01:00Z", () => true);
          return trends.charts[0].data;
        }"""
    )
    assert actual == [1.0, 2.0, None, 3.0]
    assert times[1] < times[2] < times[3]


def test_a_clock_of_the_viewer_that_is_wrong_takes_no_past_away(watched: Watched, gate: Gate) -> None:
    """A tablet an hour ahead asked for what is yet to come, one behind for an hour more than is shown."""
    watched.page.clock.set_fixed_time(time.time() + 3600)
    gate.play({"Spindle/ActSpeed": 1235.0})
    with watched.page.expect_request("**/history/Spindle/ActSpeed*") as asked:
        show(watched, gate)
    points = asked.value.response()
    assert points is not None
    assert points.status == 200
    assert points.json()["points"][-1][1] == 1235.0


def test_long_names_of_machines_stay_inside(watched: Watched, tmp_path: Path) -> None:
    ids = ("CNC-001", "A-mill-with-an-extraordinarily-long-name-of-its-plant-0001")
    with opened(tmp_path, FakeLink(ids, period_s=None), machines=2) as gate:
        for machine_id in ids:
            gate.play(gate.link.moment(machine_id), machine_id)
        page = show(watched, gate)
        expect(page.locator("#fleet button")).to_have_count(2)
        for width in (320, 390, 820, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            cards = page.evaluate(
                "[...document.querySelectorAll('#fleet button')].map((card) => card.scrollWidth - card.clientWidth)"
            )
            assert max(cards) <= 0, f"cards run over at {width}"


def test_a_machine_that_shows_no_state_is_live_all_the_same(watched: Watched, tmp_path: Path) -> None:
    with opened(tmp_path, FakeLink(("MILL-1", "MILL-2"), period_s=None)) as gate:
        gate.play({"Spindle/ActSpeed": 900.0}, "MILL-1")
        gate.play({"Spindle/ActSpeed": Reading("Spindle/ActSpeed", None, 0x80000000, 1, 1)}, "MILL-2")
        page = show(watched, gate)
        expect(page.locator("#fleet [data-machine=MILL-1] .what")).to_have_text("live")
        expect(page.locator("#fleet [data-machine=MILL-2] .what")).to_have_text("not live")


def test_the_blank_is_drawn_around_the_path_and_told(watched: Watched, gate: Gate) -> None:
    page = show(watched, gate)
    expect(page.locator("#blank")).to_have_text("")
    gate.play({"Part/Material": "C45", "Part/BlankLow": [-440.0, -260.0, -450.0], "Part/BlankHigh": [-340.0, -180.0, -419.5]})
    expect(page.locator("#blank")).to_have_text("C45 100 × 80 × 30.5 mm")
    seen = page.evaluate(
        """async () => {
          const { Toolpath } = await import("/js/path.js");
          const canvas = document.getElementById("path");
          const path = new Toolpath(canvas);
          const picture = () => [path.box.low, path.box.high, canvas.toDataURL()];
          path.add(-390, -220, -300, "rapid");
          path.draw();
          const without = picture();
          path.setBlank([-440, -260, -450], [-340, -180, -419.5]);
          path.draw();
          const within = picture();
          path.setBlank([], []);
          path.draw();
          return [without, within, picture()];
        }"""
    )
    without, within, again = seen
    assert without == again
    assert within[:2] == [[-440, -260, -450], [-340, -180, -419.5]]
    assert within[2] != without[2]
    assert watched.complaints == []
