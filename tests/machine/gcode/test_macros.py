"""Macro B, subprograms, and LinuxCNC's O-words."""

from __future__ import annotations

import pytest

from opcua_server.machine.gcode import Budget
from tests.machine.gcode.running import alarm_of, ends, run


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2+3*4", 14.0),
        ("[2+3]*4", 20.0),
        ("10-4-3", 3.0),
        ("-#1+7", 4.0),
        ("SQRT[16]+ABS[-2]", 6.0),
        ("ATAN[1]/[1]", 45.0),
        ("ATAN[1,-1]", 135.0),
        ("POW[2,10]", 1024.0),
        ("FIX[-2.5]", -2.0),
        ("FUP[2.1]", 3.0),
        ("ROUND[2.5]", 3.0),
        ("7 MOD 4", 3.0),
        ("-17 MOD 5", -2.0),
        ("7.6 MOD 3", 2.0),
        ("ATAN[-1]/[-1]", 225.0),
        ("ATAN[-1]", -45.0),
        ("ASIN[-0.5]", 330.0),
        ("12 AND 10", 8.0),
        ("12 XOR 10", 6.0),
        ("BIN[16]", 10.0),
        ("#[#1+2]", 1.0),
        ("##5", 3.0),
    ],
)
def test_expressions_have_their_value(expression: str, value: float) -> None:
    assert ends(f"#1=3|#5=1|#6={expression}|G0 X#6|M30")[0][0] == pytest.approx(value)


def test_round_in_a_word_goes_to_the_least_input_increment() -> None:
    assert ends("#1=1.2345|G0 X[ROUND[#1]]|#2=ROUND[#1]|X#2|G20 X[ROUND[1.23456]]|M30")[:2] == [(1.235, 0, 0), (1, 0, 0)]
    assert ends("G20 G0 X[ROUND[1.23456]]|M30")[0][0] == pytest.approx(1.2346 * 25.4)
    assert ends("G0 X[ROUND[1.2345]]|M2", dialect="linuxcnc") == [(1, 0, 0)]


def test_linuxcnc_has_its_own_rest_and_angles() -> None:
    assert ends("#6=[-17 MOD 5]|G0 X#6|#7=ATAN[-1]/[-1]|X#7|#8=ASIN[-0.5]|X#8|M2", dialect="linuxcnc") == [
        (3, 0, 0),
        (-135, 0, 0),
        (-30, 0, 0),
    ]


def test_a_number_that_m99_jumps_to_and_is_not_there_is_another_alarm_than_goto_s() -> None:
    assert alarm_of("G0 X1|M99 P77") == ("PS0078", 2)
    assert alarm_of("G0 X1|GOTO77|M30") == ("PS0128", 2)


def test_a_word_with_a_vacant_value_is_as_if_it_were_not_there() -> None:
    assert ends("G0 X5|#1=#0|G0 X#1 Y2|M30") == [(5, 0, 0), (5, 2, 0)]


def test_vacant_differs_from_zero_but_counts_as_it() -> None:
    assert ends("IF[#1EQ#0]THEN #2=1|IF[#1EQ0]THEN #3=1|G0 X#2 Y[#3+#1+4]|M30") == [(1, 4, 0)]


def test_goto_searches_onwards_and_then_from_the_beginning() -> None:
    assert ends("#1=0|N10 #1=#1+1|G0 X#1|IF[#1LT3]GOTO10|M30") == [(1, 0, 0), (2, 0, 0), (3, 0, 0)]


def test_nested_loops_run_as_often_as_they_say() -> None:
    program = "#1=0|#3=0|WHILE[#1LT3]DO1|#2=0|WHILE[#2LT4]DO2|#3=#3+1|#2=#2+1|END2|#1=#1+1|END1|G0 X#3|M30"
    assert ends(program) == [(12, 0, 0)]


def test_macro_call_passes_arguments_and_gives_back_its_own_locals() -> None:
    program = "O1|#1=7|G65 P2 A1 B2 X3|G0 X#1|M30|O2|G0 X[#1+#2+#24]|#1=99|M99"
    assert ends(program) == [(6, 0, 0), (7, 0, 0)]


def test_second_type_of_arguments_numbers_repeated_letters() -> None:
    assert ends("O1|G65 P2 I1 J2 K3 I4 J5|M30|O2|G0 X#4 Y#7 Z#8|M99") == [(1, 4, 5)]


def test_modal_macro_runs_after_every_move_until_cancelled() -> None:
    program = "O1|G66 P2 A5|G0 X1|X2|G67|X3|M30|O2|G91 G0 Y#1|G90|M99"
    assert ends(program) == [(1, 0, 0), (1, 5, 0), (2, 5, 0), (2, 10, 0), (3, 10, 0)]


def test_subprogram_repeats_by_its_leading_digits_or_by_l() -> None:
    assert ends("O1|M98 P30002|M30|O2|G91 G0 X1|M99")[-1] == (3, 0, 0)
    assert ends("O1|M98 P2 L3|M30|O2|G91 G0 X1|M99")[-1] == (3, 0, 0)


def test_subprogram_returns_to_the_line_it_names() -> None:
    assert ends("O1|M98 P2|G0 X1|N50 G0 Y1|M30|O2|M99 P50") == [(0, 1, 0)]


def test_subprograms_may_come_from_outside() -> None:
    library = {"O0042": "%\nO42\nG0 X4\nM99\n%"}
    assert ends("O1|M98 P42|G0 Y1|M30", resolve=library.get) == [(4, 0, 0), (4, 1, 0)]


def test_eleven_levels_are_one_too_many() -> None:
    assert alarm_of("O1|M98 P2|M30|O2|M98 P2|M99")[0] == "PS0077"


def test_a_program_that_returns_from_its_top_has_ended() -> None:
    moves, alarm = run("O1|G0 X1|M99")
    assert alarm is None
    assert moves[-1].kind == "end"


def test_system_variables_read_and_write_the_machine() -> None:
    program = "G54|#5221=100|#11005=7|G0 X1|#100=#5021|#101=#5041|#102=#4003|G43 H5|G0 X#100 Y#101 Z#102|M30"
    assert ends(program)[-1] == (201, 1, 97)


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("G91|G0 X#4003|M30", 91),
        ("D3|G0 X#4107|M30", 3),
        ("H2|G0 X#4111|M30", 2),
        ("S700|G0 X#4119|M30", 700),
        ("T4|G0 X#4120|M30", 4),
        ("N5|N77 (A)|G0 X#4114|M30", 77),
        ("O0012|G0 X#4115|M30", 12),
        ("G54.1 P7|G0 X#4130|M30", 7),
        ("G16|G0 X#4017|M30", 16),
        ("G68 R0|G0 X#4016|M30", 68),
        ("G96|G0 X#4013|M30", 96),
    ],
)
def test_modal_variables_tell_what_holds(program: str, value: float) -> None:
    assert ends(program)[0][0] == value


def test_the_programs_own_stop_shows_its_comment_and_goes_on() -> None:
    moves, alarm = run("#3006=1(TURN THE PART)|G0 X1|M30")
    assert alarm is None
    assert [(move.kind, move.text) for move in moves] == [("message", "TURN THE PART"), ("stop", ""), ("rapid", ""), ("end", "")]


def test_the_programs_own_alarm_carries_its_comment() -> None:
    _, alarm = run("G0 X1|#3000=5(TOOL WORN)|M30")
    assert alarm is not None
    assert (alarm.number, alarm.text, alarm.line) == ("MC3005", "TOOL WORN", 2)


@pytest.mark.parametrize("loop", ["#1=1|WHILE[#1GT0]DO1|#2=#2+1|END1", "N1 #1=1|GOTO1", "O5|M98 P6 L999999|O6|M99"])
def test_an_endless_program_without_a_move_ends_with_a_clear_alarm(loop: str) -> None:
    _, alarm = run(loop + "|M30", budget=Budget(idle_blocks=5000))
    assert alarm is not None
    assert alarm.number == "EX1012"


def test_an_endless_program_that_moves_ends_with_its_block_budget() -> None:
    _, alarm = run("N1 G0 X1|GOTO1|M30", budget=Budget(blocks=3000))
    assert alarm is not None
    assert alarm.number == "EX1010"


@pytest.mark.parametrize("cycle", ["G83 X1 Z-90 R0 Q.001 K9999 F100", "G91 G81 X1 Z-1 R0 K9999 F100|M98 P2|M30|O2|M98 P1|M99"])
def test_a_cycle_of_millions_of_strokes_ends_with_its_budget(cycle: str) -> None:
    moves, alarm = run(f"O1|{cycle}|M30", budget=Budget(blocks=500))
    assert alarm is not None
    assert alarm.number in ("EX1010", "PS0077")
    assert len(moves) < 10_000 * 30
    ticks = iter(range(10_000))
    moves, alarm = run(f"O1|{cycle}|M30", budget=Budget(seconds=20.0, clock=lambda: float(next(ticks))))
    assert alarm is not None
    assert alarm.number == "EX1011"
    assert len(moves) < 6000


def test_time_budget_reads_the_given_clock_only() -> None:
    ticks = iter(range(100))
    _, alarm = run("N1 G0 X1|GOTO1|M30", budget=Budget(seconds=5.0, clock=lambda: float(next(ticks))))
    assert alarm is not None
    assert alarm.number == "EX1011"


def test_o_words_choose_loop_and_call() -> None:
    program = (
        "o100 sub|g0 x#1|o101 if [#1 gt 2]|g0 y#1|o101 elseif [#1 gt 1]|g0 y-1|o101 else|g0 y0|o101 endif|o100 endsub|"
        "#<n>=0|o110 while [#<n> lt 4]|#<n>=[#<n>+1]|o120 if [#<n> eq 4]|o110 break|o120 endif|o100 call [#<n>]|"
        "o110 endwhile|o130 repeat [2]|g91 g0 z1|g90|o130 endrepeat|m2"
    )
    assert ends(program, dialect="linuxcnc") == [
        (1, 0, 0), (1, 0, 0), (2, 0, 0), (2, -1, 0), (3, -1, 0), (3, 3, 0), (3, 3, 1), (3, 3, 2),
    ]  # fmt: skip


def test_do_while_runs_at_least_once() -> None:
    assert ends("o1 do|g91 g0 x1|o1 while [0]|m2", dialect="linuxcnc") == [(1, 0, 0)]


def test_g66_1_takes_the_place_of_every_block_until_g67() -> None:
    # G codes act; X, A and the rest are arguments, and G itself is #10.
    macro = "|O100|G0 X#24 Y#1 Z#10|M99"
    assert ends("O1|G66.1 P100|G91 X5 A2|N7 M8 X6|(nothing)|#5=1|G67|G90 G0 X9|M30" + macro) == [
        (5, 2, 91),
        (11, 2, 91),
        (9, 2, 91),
    ]


def test_g66_1_calls_a_missing_program_no_later_than_it_is_written() -> None:
    assert alarm_of("G66.1 P100|G0 X5|M30") == ("PS0076", 1)


def test_macro_calls_nest_five_deep_and_subprograms_ten() -> None:
    def nest(depth: int, call: str) -> str:
        inner = "".join(f"|O{level}|{call} P{level + 1}|M99" for level in range(2, depth + 1))
        return f"O1|{call} P2|M30{inner}|O{depth + 1}|G0 X1|M99"

    assert ends(nest(5, "G65")) == [(1, 0, 0)]
    assert alarm_of(nest(6, "G65"))[0] == "PS0122"
    assert ends(nest(10, "M98")) == [(1, 0, 0)]
    assert alarm_of(nest(11, "M98"))[0] == "PS0077"


def test_brackets_nest_five_deep() -> None:
    assert ends("G0 X[[[[[1]]]]]|M30") == [(1, 0, 0)]
    assert alarm_of("G0 X[[[[[[1]]]]]]|M30") == ("PS0118", 1)
    assert ends("G0 X[[[[[[1]]]]]]|M2", dialect="linuxcnc") == [(1, 0, 0)]
