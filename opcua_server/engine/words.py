"""What a StatusCode means here, in a sentence, for who asks why something was refused. What is known of the one case says more.

Codes of logins, certificates and channels are not among them: of security no DiagnosticInfo says anything (OPC 10000-4, 7.12).
"""

from __future__ import annotations

from typing import Final

from cnctwin.wire.scalars import ua

_BY_NAME: Final = {
    "BadAggregateConfigurationRejected": "The percentages of the AggregateConfiguration do not fit together",
    "BadAggregateListMismatch": "There must be one aggregate for each node",
    "BadAggregateNotSupported": "There is no such aggregate, or none for values of this type",
    "BadAttributeIdInvalid": "The node has no such attribute",
    "BadBrowseDirectionInvalid": "The direction is forward, inverse or both",
    "BadBrowseNameInvalid": "Each element of a path needs the name of its target",
    "BadContinuationPointInvalid": "There is no such continuation point: released, pushed out by later ones, or of another session",
    "BadDataEncodingInvalid": "Only values that are structures have a DataEncoding",
    "BadDataEncodingUnsupported": "Structures come in Default Binary",
    "BadDataUnavailable": "The history cannot be reached at the moment",
    "BadDeadbandFilterInvalid": "The deadband is none, absolute or percent, and a finite number from 0 on, in percent up to 100",
    "BadEntryExists": "There is an entry at that time already",
    "BadEventFilterInvalid": "An EventFilter is needed to monitor events, and this is none that makes sense",
    "BadFilterNotAllowed": "This filter is not for this attribute or this type of value",
    "BadHistoryOperationInvalid": "The details of the operation make no sense",
    "BadHistoryOperationUnsupported": "There is no such history of this node",
    "BadIndexRangeDataMismatch": "The range does not fit the value that was given",
    "BadIndexRangeInvalid": "The IndexRange cannot be read",
    "BadIndexRangeNoData": "There is nothing in the range",
    "BadInvalidTimestamp": "The time makes no sense",
    "BadInvalidTimestampArgument": "Start and end are needed",
    "BadMaxAgeInvalid": "MaxAge is negative or no number",
    "BadMessageNotAvailable": "The message is acknowledged, pushed out by later ones, or never was",
    "BadMethodInvalid": "The object has no such method",
    "BadMonitoredItemFilterInvalid": "This is no filter for a data change",
    "BadMonitoredItemFilterUnsupported": "Monitored items have no aggregates, and percent deadbands only where there is an EURange",
    "BadMonitoredItemIdInvalid": "The subscription has no such monitored item",
    "BadMonitoringModeInvalid": "The mode is disabled, sampling or reporting",
    "BadNoContinuationPoints": "This request has all continuation points that a session may have",
    "BadNoData": "There is nothing at that time",
    "BadNodeIdUnknown": "There is no such node",
    "BadNoEntryExists": "There is no entry at that time",
    "BadNoMatch": "The path leads nowhere",
    "BadNotReadable": "It is not there to be read",
    "BadNotSupported": "The node tells no events",
    "BadNothingToDo": "The request is empty",
    "BadNotWritable": "It is read only",
    "BadOutOfRange": "The value is too long, too large, or no finite number",
    "BadReferenceTypeIdInvalid": "There is no such type of references",
    "BadResourceUnavailable": "There is no room for more",
    "BadSequenceNumberUnknown": "There is no such message to acknowledge",
    "BadServiceUnsupported": "This server does not have this service",
    "BadSubscriptionIdInvalid": "The session has no such subscription",
    "BadTimestampNotSupported": "What is worked out has no server timestamp of its own",
    "BadTimestampsToReturnInvalid": "The timestamps are source, server, both or neither",
    "BadTooManyMatches": "The path leads to too many nodes",
    "BadTooManyMonitoredItems": "The session has all monitored items that it may have",
    "BadTooManyOperations": "It is too much for one request; ServerCapabilities/OperationLimits says how much there may be",
    "BadTooManySubscriptions": "The session has all subscriptions that it may have",
    "BadTypeMismatch": "The value is of another type than the variable",
    "BadUserAccessDenied": "Your role may not do this",
    "BadViewIdUnknown": "There are no views",
    "BadWriteNotSupported": "Picoseconds cannot be written",
}  # fmt: skip
WORDS: Final[dict[int, str]] = {int(getattr(ua.StatusCodes, name)): sentence for name, sentence in _BY_NAME.items()}
