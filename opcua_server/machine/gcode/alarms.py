"""Alarm numbers and their texts, and the exception a block's code raises when it meets one.

    block code --BlockFault(number)--> interpreter --NcAlarm(number, text, line, program)--> control

Numbers follow the FANUC series 30i/0i operator's lists (PS program errors, OT overtravel, MC macro, EX machine builder). A
``BlockFault`` knows nothing of lines: only the interpreter, which knows where it is, turns it into an ``NcAlarm``.
"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "PS0003": "TOO MANY DIGIT",
    "PS0004": "INVALID BREAK POINT OF WORDS",
    "PS0005": "NO DATA AFTER ADDRESS",
    "PS0006": "ILLEGAL USE OF MINUS SIGN",
    "PS0007": "ILLEGAL USE OF DECIMAL POINT",
    "PS0009": "IMPROPER NC-ADDRESS",
    "PS0010": "IMPROPER G-CODE",
    "PS0011": "FEED ZERO (COMMAND)",
    "PS0020": "OVER TOLERANCE OF RADIUS",
    "PS0021": "ILLEGAL PLANE SELECT",
    "PS0022": "R OR I,J,K COMMAND NOT FOUND",
    "PS0023": "ILLEGAL RADIUS COMMAND",
    "PS0027": "NO AXES COMMANDED IN G43/G44",
    "PS0030": "ILLEGAL OFFSET NUMBER",
    "PS0031": "ILLEGAL P COMMAND IN G10",
    "PS0033": "NO INTERSECTION AT CUTTER COMPENSATION",
    "PS0034": "NO CIRC ALLOWED IN STUP/EXT BLK",
    "PS0037": "CAN NOT CHANGE PLANE IN G41/G42",
    "PS0041": "INTERFERENCE IN CUTTER COMPENSATION",
    "PS0044": "G27-G30 NOT ALLOWED IN FIXED CYC",
    "PS0045": "ADDRESS Q NOT FOUND (G73/G83)",
    "PS0046": "ILLEGAL REFERENCE RETURN COMMAND",
    "PS0050": "CHF/CNR NOT ALLOWED IN THRD BLK",
    "PS0051": "MISSING MOVE AFTER CNR/CHF",
    "PS0055": "MISSING MOVE VALUE IN CHF/CNR",
    "PS0058": "END POINT NOT FOUND",
    "PS0035": "CAN NOT COMMANDED G31",
    "PS0076": "PROGRAM NOT FOUND",
    "PS0077": "TOO MANY SUB,MACRO NESTING",
    "PS0078": "SEQUENCE NUMBER NOT FOUND",
    "PS0110": "OVERFLOW: CALCULATED VALUE",
    "PS0112": "ZERO DIVIDE",
    "PS0113": "IMPROPER COMMAND",
    "PS0114": "ILLEGAL EXPRESSION FORMAT",
    "PS0115": "VARIABLE NO. OUT OF RANGE",
    "PS0116": "WRITE PROTECTED VARIABLE",
    "PS0118": "TOO MANY BRACKET NESTING",
    "PS0119": "ARGUMENT VALUE OUT OF RANGE",
    "PS0122": "TOO MANY MACRO NESTING",
    "PS0124": "MISSING END STATEMENT",
    "PS0125": "MACRO STATEMENT FORMAT ERROR",
    "PS0126": "ILLEGAL LOOP NUMBER",
    "PS0127": "DUPLICATE NC,MACRO STATEMENT",
    "PS0128": "ILLEGAL MACRO SEQUENCE NUMBER",
    "PS0141": "CAN NOT COMMAND G51 IN CRC",
    "PS0142": "ILLEGAL SCALE RATE",
    "PS0199": "MACRO WORD UNDEFINED",
    "PS0203": "PROGRAM MISS AT RIGID TAPPING",
    "PS0200": "ILLEGAL S CODE COMMAND",
    "PS0224": "ZERO RETURN NOT FINISHED",
    "PS0305": "ILLEGAL INTERMEDIATE POINT",
    "PS0412": "ILLEGAL G CODE",
    "PS5010": "END OF RECORD",
    "PS5074": "ADDRESS DUPLICATION ERROR",
    "OT0500": "+ OVERTRAVEL (SOFT 1)",
    "OT0501": "- OVERTRAVEL (SOFT 1)",
    "EX1001": "TOOL NUMBER OUT OF RANGE",
    "EX1002": "M CODE NOT KNOWN",
    "EX1010": "BLOCK LIMIT REACHED",
    "EX1011": "TIME LIMIT REACHED",
    "EX1012": "TOO MANY BLOCKS WITHOUT A MOVE",
}


class BlockFault(Exception):
    """The block cannot be executed. ``number`` such as "PS0020", ``text`` what the operator reads."""

    def __init__(self, number: str, detail: str = "") -> None:
        base = TEXTS.get(number, "")
        self.number = number
        self.text = f"{base}: {detail}" if base and detail else base or detail
        super().__init__(f"{number} {self.text}")
