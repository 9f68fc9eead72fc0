"""Expressions of macro programs: text to a flat postfix program, and its evaluation on a stack.

    X[20.*COS[#2]]   ->   20.  2 #  COS  *

Neither step recurses: a line of ten thousand brackets ends in alarm PS0118, not in Python's own limit. Angles are degrees.
``None`` on the stack is FANUC's <vacant>: 0 in arithmetic, different from 0 for EQ and NE.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from opcua_server.machine.gcode.alarms import BlockFault

Value = float | None
CONSTANT, VARIABLE, NAMED, UNARY, BINARY, EXISTS = range(6)
Step = tuple[int, object]
Code = list[Step]

NUMBER = re.compile(r"\d+\.?\d*|\.\d+")
DEEPEST = 60
DEEPEST_FANUC = 5
EQUAL_WITHIN_FANUC = 1e-9
EQUAL_WITHIN_LINUXCNC = 1e-4
"""Two values nearer than this are equal for EQ and NE; the other relations are exact."""


class Variables(Protocol):
    """What an expression may ask for."""

    def get(self, number: float | None) -> Value: ...
    def get_named(self, name: str) -> Value: ...
    def exists(self, name: str) -> bool: ...
    def exists_number(self, number: float | None) -> bool: ...


def _arithmetic(function: Callable[[float, float], float]) -> Callable[[Value, Value], float]:
    return lambda a, b: function(a or 0.0, b or 0.0)


def _divide(a: Value, b: Value) -> float:
    if not b:
        raise BlockFault("PS0112")
    return (a or 0.0) / b


def _modulo(a: Value, b: Value) -> float:
    if not b:
        raise BlockFault("PS0112")
    rest = math.fmod(a or 0.0, b)
    return rest + abs(b) if rest < 0.0 else rest


def _modulo_fanuc(a: Value, b: Value) -> float:
    """Of whole numbers; the rest has the sign of what is divided."""
    divisor = _round(b or 0.0)
    if not divisor:
        raise BlockFault("PS0112")
    return math.fmod(_round(a or 0.0), divisor)


def _power(a: Value, b: Value) -> float:
    base, exponent = a or 0.0, b or 0.0
    if base < 0.0 and exponent != int(exponent):
        raise BlockFault("PS0119")
    if base == 0.0 and exponent < 0.0:
        raise BlockFault("PS0112")
    return float(base**exponent)


def _same(within: float) -> Callable[[Value, Value], bool]:
    def same(a: Value, b: Value) -> bool:
        if a is None or b is None:
            return a is b
        return abs(a - b) <= within

    return same


def _bits(function: Callable[[int, int], int]) -> Callable[[Value, Value], float]:
    return lambda a, b: float(function(round(a or 0.0), round(b or 0.0)))


Operator = tuple[int, Callable[[Value, Value], float]]


def _relations(within: float) -> dict[str, Operator]:
    same = _same(within)
    return {
        "EQ": (2, lambda a, b: float(same(a, b))),
        "NE": (2, lambda a, b: float(not same(a, b))),
        "GT": (2, lambda a, b: float((a or 0.0) > (b or 0.0))),
        "GE": (2, lambda a, b: float((a or 0.0) >= (b or 0.0))),
        "LT": (2, lambda a, b: float((a or 0.0) < (b or 0.0))),
        "LE": (2, lambda a, b: float((a or 0.0) <= (b or 0.0))),
    }


_SUMS: dict[str, Operator] = {
    "**": (5, _power),
    "*": (4, _arithmetic(operator.mul)),
    "/": (4, _divide),
    "MOD": (4, _modulo),
    "+": (3, _arithmetic(operator.add)),
    "-": (3, _arithmetic(operator.sub)),
}
# LinuxCNC's logic is of truth values and binds weakest; FANUC's is of bits and binds like a sum or a product.
TRUTH: dict[str, Operator] = {
    **_SUMS,
    **_relations(EQUAL_WITHIN_LINUXCNC),
    "AND": (1, lambda a, b: float(bool(a) and bool(b))),
    "OR": (1, lambda a, b: float(bool(a) or bool(b))),
    "XOR": (1, lambda a, b: float(bool(a) != bool(b))),
}
BITS: dict[str, Operator] = {
    **_SUMS,
    "MOD": (4, _modulo_fanuc),
    **_relations(EQUAL_WITHIN_FANUC),
    "AND": (4, _bits(operator.and_)),
    "OR": (3, _bits(operator.or_)),
    "XOR": (3, _bits(operator.xor)),
}
_OPERATOR = re.compile(r"\*\*|[-+*/]|EQ|NE|GT|GE|LT|LE|AND|OR|XOR|MOD")


def _root(a: float) -> float:
    if a < 0.0:
        raise BlockFault("PS0119", "square root of a negative value")
    return math.sqrt(a)


def _arc(function: Callable[[float], float]) -> Callable[[float], float]:
    def inner(a: float) -> float:
        if not -1.0 <= a <= 1.0:
            raise BlockFault("PS0119")
        return math.degrees(function(a))

    return inner


def _log(a: float) -> float:
    if a <= 0.0:
        raise BlockFault("PS0119", "logarithm of a value not above zero")
    return math.log(a)


def _tangent(a: float) -> float:
    return math.tan(math.radians(a))


def _bin(a: float) -> float:
    """Binary coded decimal to a number."""
    digits = f"{round(a):X}" if a >= 0.0 else "-"
    if not digits.isdigit():
        raise BlockFault("PS0119")
    return float(int(digits))


def _bcd(a: float) -> float:
    if not 0.0 <= a <= 99999999.0:
        raise BlockFault("PS0119")
    return float(int(str(round(a)), 16))


def _round(a: float) -> float:
    """Halves go away from zero, as both controls do; Python's own rounds them to even."""
    return math.copysign(math.floor(abs(a) + 0.5), a)


def _fix_fanuc(a: float) -> float:
    return float(math.trunc(a))


def _fup_fanuc(a: float) -> float:
    return math.copysign(math.ceil(abs(a)), a)


def _full_turn(degrees: float) -> float:
    """0 to 360 degrees: FANUC parameter 6004 NAT as delivered."""
    return degrees + 360.0 if degrees < 0.0 else degrees


_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "ACOS": _arc(math.acos),
    "ASIN": _arc(math.asin),
    "ATAN": lambda a: math.degrees(math.atan(a)),
    "COS": lambda a: math.cos(math.radians(a)),
    "EXP": math.exp,
    "LN": _log,
    "ROUND": _round,
    "SIN": lambda a: math.sin(math.radians(a)),
    "SQRT": _root,
    "TAN": _tangent,
}
FUNCTIONS_LINUXCNC = {
    **_FUNCTIONS,
    "FIX": lambda a: float(math.floor(a)),
    "FUP": lambda a: float(math.ceil(a)),
}


def _asin_fanuc(a: float) -> float:
    return _full_turn(_FUNCTIONS["ASIN"](a))


FUNCTIONS_FANUC = {
    **_FUNCTIONS,
    "ASIN": _asin_fanuc,
    "FIX": _fix_fanuc,
    "FUP": _fup_fanuc,
    "SQR": _root,
    "ATN": _FUNCTIONS["ATAN"],
    "RND": _round,
    "BIN": _bin,
    "BCD": _bcd,
    "ADP": lambda a: a,
}


def _atan2(a: Value, b: Value) -> float:
    return math.degrees(math.atan2(a or 0.0, b or 0.0))


def _atan2_fanuc(a: Value, b: Value) -> float:
    return _full_turn(_atan2(a, b))


def _negative(a: float) -> float:
    return -a


_FUNCTION = re.compile(r"[A-Z]{2,6}(?=\[)")
_EXISTS = re.compile(r"EXISTS\[#<([^>]*)>\]")
_NAME = re.compile(r"<([^>]*)>")


@dataclass(slots=True)
class _Waiting:
    """An operator whose operand is still to come. ``kind``: [ # neg function binary atan2 pow second."""

    kind: str
    function: Callable[..., float] = abs
    precedence: int = 0
    word: str = ""


class Compiler:
    """Reads expressions of one dialect out of a line without spaces, in capitals."""

    def __init__(self, macro_b: bool) -> None:
        self.operators = BITS if macro_b else TRUTH
        self.functions = FUNCTIONS_FANUC if macro_b else FUNCTIONS_LINUXCNC
        self.atan2 = _atan2_fanuc if macro_b else _atan2
        self.macro_b = macro_b

    def value(self, text: str, at: int) -> tuple[Code, int]:
        """One value (number, ``#``, bracket, function, with signs) from ``at``; its code and the position behind it."""
        return self._read(text, at, single=True)

    def expression(self, text: str, at: int) -> tuple[Code, int]:
        """As long an expression as there is from ``at``: what stands after ``=`` in Macro B."""
        return self._read(text, at, single=False)

    def _read(self, text: str, at: int, *, single: bool) -> tuple[Code, int]:
        code: Code = []
        waiting: list[_Waiting] = []
        depth = 0
        length = len(text)
        while True:
            # An operand is due here.
            char = text[at : at + 1]
            if char == "[":
                depth += 1
                if depth > (DEEPEST_FANUC if self.macro_b else DEEPEST):
                    raise BlockFault("PS0118")
                waiting.append(_Waiting("["))
                at += 1
                continue
            if char == "#":
                name = _NAME.match(text, at + 1)
                if name:
                    code.append((NAMED, name[1]))
                    at = name.end()
                else:
                    waiting.append(_Waiting("#"))
                    at += 1
                    if text[at : at + 1] in ("-", "+", ""):
                        raise BlockFault("PS0114")
                    continue
            elif char in ("+", "-") and char:
                if char == "-":
                    waiting.append(_Waiting("neg"))
                at += 1
                continue
            else:
                number = NUMBER.match(text, at)
                if number:
                    code.append((CONSTANT, float(number[0])))
                    at = number.end()
                else:
                    exists = _EXISTS.match(text, at)
                    function = _FUNCTION.match(text, at)
                    if exists:
                        code.append((EXISTS, exists[1]))
                        at = exists.end()
                    elif text.startswith("EXISTS[#", at) and not self.macro_b:
                        inner, at = self.value(text, at + 8)
                        if text[at : at + 1] != "]":
                            raise BlockFault("PS0118")
                        code.extend(inner)
                        code.append((EXISTS, None))
                        at += 1
                    elif function:
                        word = function[0]
                        if word == "POW" and self.macro_b:
                            waiting.append(_Waiting("pow"))
                        elif word in self.functions:
                            waiting.append(_Waiting("function", self.functions[word], word=word))
                        else:
                            raise BlockFault("PS0199", word)
                        at = function.end()
                        continue
                    elif at >= length and depth:
                        raise BlockFault("PS0118")
                    elif at >= length:
                        raise BlockFault("PS0005" if single else "PS0114")
                    else:
                        raise BlockFault("PS0114" if depth or not single or waiting else "PS0005")
            # An operand has been read; signs and # in front of it take it first.
            while True:
                while waiting and waiting[-1].kind in ("#", "neg"):
                    kind = waiting.pop().kind
                    code.append((VARIABLE, None) if kind == "#" else (UNARY, _negative))
                if depth and text[at : at + 1] == "]":
                    at += 1
                    while waiting[-1].kind != "[":
                        code.append((BINARY, waiting.pop().function))
                    waiting.pop()
                    depth -= 1
                    if waiting and waiting[-1].kind == "function":
                        step = waiting.pop()
                        if step.word in ("ATAN", "ATN") and text[at : at + 2] == "/[":
                            at += 1
                            waiting.append(_Waiting("atan2", self.atan2))
                            break
                        code.append((UNARY, step.function))
                    elif waiting and waiting[-1].kind in ("atan2", "second"):
                        code.append((BINARY, waiting.pop().function))
                    elif waiting and waiting[-1].kind == "pow":
                        raise BlockFault("PS0114", "POW needs two values")
                    continue
                if depth == 0 and single:
                    return code, at
                if depth and text[at : at + 1] == "," and self.macro_b:
                    while waiting[-1].kind != "[":
                        code.append((BINARY, waiting.pop().function))
                    opener = waiting[-2] if len(waiting) > 1 else _Waiting("")
                    if opener.kind == "pow" or opener.word in ("ATAN", "ATN"):
                        waiting[-2] = _Waiting("second", _power if opener.kind == "pow" else self.atan2)
                        at += 1
                        break
                    raise BlockFault("PS0114")
                symbol = _OPERATOR.match(text, at)
                if symbol is None:
                    if depth:
                        raise BlockFault("PS0118" if at >= length or text[at] != "[" else "PS0114")
                    while waiting:
                        code.append((BINARY, waiting.pop().function))
                    return code, at
                precedence, function_ = self.operators[symbol[0]]
                while waiting and waiting[-1].kind == "binary" and waiting[-1].precedence >= precedence:
                    code.append((BINARY, waiting.pop().function))
                waiting.append(_Waiting("binary", function_, precedence))
                at = symbol.end()
                break


def rounded_to(code: Code, increment: float) -> Code:
    """The code of a word: there ROUND goes to the least input increment of the address (FANUC)."""

    def fine(a: float) -> float:
        return _round(a / increment) * increment

    return [(kind, fine if argument is _round else argument) for kind, argument in code]


def evaluate(code: Code, variables: Variables) -> Value:
    """The value of a compiled expression, <vacant> as None. Raises BlockFault (PS0110, PS0112, PS0115, PS0119 ...)."""
    stack: list[Value] = []
    push = stack.append
    pop = stack.pop
    try:
        for kind, argument in code:
            if kind == CONSTANT:
                push(argument)  # type: ignore[arg-type]
            elif kind == VARIABLE:
                push(variables.get(pop()))
            elif kind == BINARY:
                second = pop()
                push(argument(pop(), second))  # type: ignore[operator]
            elif kind == UNARY:
                push(argument(pop() or 0.0))  # type: ignore[operator]
            elif kind == NAMED:
                push(variables.get_named(argument))  # type: ignore[arg-type]
            elif argument is None:
                push(float(variables.exists_number(pop())))
            else:
                push(float(variables.exists(argument)))  # type: ignore[arg-type]
        value = stack[-1]
    except (OverflowError, ValueError) as error:
        raise BlockFault("PS0110") from error
    except (IndexError, TypeError) as error:
        raise BlockFault("PS0114") from error
    if value is not None and not math.isfinite(value):
        raise BlockFault("PS0110")
    return value
