"""MR:ResultManagement of a machine: its results as structures, as a variable, and as events (OPC 40001-101).

MachineryBuildingBlocks/ResultManagement
    Results/LatestResult    what the last run came to; it comes with the first
    GetLatestResult ...     methods that the types have, carried out by ``opcua_server.run.results_desk``
    ResultTransfer          results as files, by ``opcua_server.files.transfer``
"""

from __future__ import annotations

from typing import Any, Final

from asyncua import Server, ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import utc
from nodesets.methods import RESULT_METHODS
from opcua_server.files.transfer import PROCESSING_TIMEOUT_S
from opcua_server.jobs import result_file
from opcua_server.jobs.results import RunResult
from opcua_server.space import layout
from opcua_server.space.changes import ModelChanges
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.notify import SERVER, Notifier
from opcua_server.space.publish import put, shown
from opcua_server.space.types import HAS_ADD_IN, HAS_COMPONENT

_V: Final = ua.VariantType
_HAS_NOTIFIER: Final = ua.NodeId(48, 0)
_COMPLETED, _ABORTED = 1, 3
"""ResultState (OPC 40001-101, 9.1)."""
_NOT_OK, _NOT_DECIDABLE = 2, 3
"""MR:ResultEvaluationEnum."""
_TRANSFER_METHODS: Final = ("GenerateFileForRead", "GenerateFileForWrite", "CloseAndCommit")
_SHOWN: Final = {"": "", "ResultMetaData": "MR:ResultMetaData", "ResultMetaData/ResultId": "MR:ResultMetaData/MR:ResultId"}
"""Parts of LatestResult -> where they are below it."""
Fields = dict[str, tuple[Any, ua.VariantType]]


class ResultSpace:
    """``methods``: name -> (object, method). ``transfer``: ResultTransfer; ``transfer_methods``: name -> its methods in the types;
    ``transfer_options``: what its GenerateFileForRead takes."""

    def __init__(self, server: Server, builder: Builder, machine: ua.NodeId, name: str, changes: ModelChanges) -> None:
        types = builder.types

        def of(kind: str) -> Any:
            return ua.extension_objects_by_datatype[types.type_id(f"MR:{kind}")]

        self._result, self._meta, self._times = of("ResultDataType"), of("ResultMetaDataType"), of("ProcessingTimesDataType")
        self._name, self._machine = name, machine
        self._event_type = types.type_id("MR:ResultReadyEventType")
        management = self._build(builder, machine)
        self._management = management
        self._notifier = Notifier(server, management, f"{name} ResultManagement")
        self.methods = {method: (management, builder.at(management, f"MR:{method}")) for method in RESULT_METHODS}
        self.transfer = builder.at(management, "MR:ResultTransfer")
        self.transfer_methods = {name: {builder.at(self.transfer, f"0:{name}")} for name in _TRANSFER_METHODS}
        overridden = types.children(types.type_id("MR:ResultTransferType"))
        self.transfer_methods["GenerateFileForRead"] |= {
            one.node_id for one in overridden if one.name.Name == "GenerateFileForRead"
        }
        self.transfer_options = of("ResultTransferOptionsDataType")
        builder.set(builder.at(self.transfer, "0:ClientProcessingTimeout"), PROCESSING_TIMEOUT_S * 1000.0)
        self._changes = changes
        self._results = builder.at(management, "MR:Results")
        changes.follow(builder, self._results)
        self._result_type = types.type_id("MR:ResultType")
        self._latest_name = ua.QualifiedName("LatestResult", builder.namespace)
        self._held: dict[str, AttributeValue] = {}
        """Part of LatestResult -> its value; empty before the first result."""

    @staticmethod
    def _build(builder: Builder, machine: ua.NodeId) -> ua.NodeId:
        builder.shares_methods = True
        management = builder.instance(
            builder.at(machine, layout.BLOCKS),
            HAS_ADD_IN,
            ua.QualifiedName("ResultManagement", builder.types.index["MR"]),
            builder.types.type_id("MR:ResultManagementType"),
            wanted([*(f"MR:{method}" for method in RESULT_METHODS), "MR:Results", "MR:ResultTransfer"]),
        )
        builder.shares_methods = False
        builder.notifies(management)
        builder.references.add(machine, _HAS_NOTIFIER, management)
        return management

    # To clients -----------------------------------------------------------------------------------------------------

    def id_of(self, result: RunResult) -> str:
        """Unique beyond this server's life: machine, end, and number of the run."""
        return f"{self._name}.{utc(result.ended_ns):%Y%m%dT%H%M%SZ}.{result.number}"

    def part_of(self, result: RunResult) -> str:
        return f"{self._name}.{result.number}"

    def file_of(self, result: RunResult) -> bytes:
        return result_file.written(result, self.id_of(result), self.part_of(result))

    def number_of(self, result_id: Any) -> int:
        """The number that an id ends with; 0 where it is none of this machine's."""
        name, _, number = str(result_id or "").rpartition(".")
        return int(number) if name.startswith(f"{self._name}.") and number.isascii() and number.isdigit() else 0

    def structure(self, result: RunResult | None) -> Any:
        """A ResultDataType; that of None is empty."""
        if result is None:
            return self._result(ResultMetaData=self._meta(), ResultContent=[])
        return self._result(
            ResultMetaData=self.meta_data(result),
            ResultContent=[
                ua.Variant(ua.KeyValuePair(ua.QualifiedName(key, 0), ua.Variant(number, _V.Double)), _V.ExtensionObject)
                for key, number in result_file.content_of(result).items()
            ],
        )

    def meta_data(self, result: RunResult) -> Any:
        """No drawing says what is in tolerance, so a part that came to the end of its program is neither good nor bad."""
        return self._meta(
            ResultId=self.id_of(result),
            HasTransferableDataOnFile=True,
            FileFormat=[result_file.FORMAT],
            IsPartial=False,
            IsSimulated=True,
            ResultState=_COMPLETED if result.completed else _ABORTED,
            PartId=self.part_of(result),
            ExternalRecipeId=result.program,
            JobId=result.job or None,
            CreationTime=utc(result.ended_ns),
            ProcessingTimes=self._times(
                StartTime=utc(result.started_ns),
                EndTime=utc(result.ended_ns),
                ProcessingDuration=result.cycle_s * 1000.0 if result.completed else None,
            ),
            ResultEvaluation=_NOT_DECIDABLE if result.completed else _NOT_OK,
            ResultEvaluationDetails=ua.LocalizedText(result.reason, "en"),
        )

    def fields(self, result: RunResult) -> Fields:
        """What an event of the result tells, and what lists of results are filtered and ordered by: by path."""
        meta = self.meta_data(result)
        made: Fields = {"Result": (self.structure(result), _V.ExtensionObject), "Result/ResultMetaData": (meta, _V.ExtensionObject)}
        kinds: dict[str, ua.VariantType] = {
            "ResultId": _V.String, "HasTransferableDataOnFile": _V.Boolean, "IsPartial": _V.Boolean, "IsSimulated": _V.Boolean,
            "ResultState": _V.Int32, "PartId": _V.String, "ExternalRecipeId": _V.String, "JobId": _V.String,
            "CreationTime": _V.DateTime, "ProcessingTimes": _V.ExtensionObject, "ResultEvaluation": _V.Int32,
            "ResultEvaluationDetails": _V.LocalizedText, "FileFormat": _V.String,
        }  # fmt: skip
        for name, kind in kinds.items():
            value = getattr(meta, name)
            if value is not None:
                made[f"Result/ResultMetaData/{name}"] = (
                    ua.Variant(value, kind, is_array=True) if isinstance(value, list) else value, kind,
                )  # fmt: skip
        return made

    def show(self, result: RunResult) -> None:
        """Let the variable show a result; with the first it comes."""
        if not self._held:
            builder, latest = self._changes.add(self._results, HAS_COMPONENT, self._latest_name, self._result_type, {})
            self._held = {part: builder.value(builder.at(latest, path) if path else latest) for part, path in _SHOWN.items()}
        moment = utc(result.ended_ns)
        values = {
            "": (self.structure(result), _V.ExtensionObject),
            "ResultMetaData": (self.meta_data(result), _V.ExtensionObject),
            "ResultMetaData/ResultId": (self.id_of(result), _V.String),
        }
        for path, (value, kind) in values.items():
            put(self._held[path], shown(value, kind, 0, moment, moment))

    async def tell(self, result: RunResult) -> None:
        """A ResultReadyEvent to whoever listens at ResultManagement, at the machine and at the Server object."""
        text = f"Run {result.number} of {result.program}: {result.reason}"
        emitters = (self._management, self._machine, SERVER)
        await self._changes.tell()
        await self._notifier.send(self._event_type, text, self.fields(result), emitters, utc(result.ended_ns))
