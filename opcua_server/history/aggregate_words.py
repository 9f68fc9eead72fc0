"""What each aggregate says, in a sentence: the Description that AggregateFunction objects shall have (OPC 10000-13, 4.2.2.2)."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "Interpolative": "The value at the beginning of the interval, on the line between the usable values around it",
    "Average": "The mean of the good values",
    "TimeAverage": "The mean over time, along lines between usable values",
    "TimeAverage2": "The mean over time, of what is known good or uncertain at each moment",
    "Total": "TimeAverage times the seconds of the interval",
    "Total2": "TimeAverage2 times the seconds of the interval",
    "Minimum": "The smallest good value, told of the beginning of the interval",
    "Maximum": "The greatest good value, told of the beginning of the interval",
    "MinimumActualTime": "The smallest good value, at its own time",
    "MaximumActualTime": "The greatest good value, at its own time",
    "Range": "The greatest good value less the smallest",
    "Minimum2": "The smallest good value, the values at both ends of the interval included",
    "Maximum2": "The greatest good value, the values at both ends of the interval included",
    "MinimumActualTime2": "Minimum2, at its own time",
    "MaximumActualTime2": "Maximum2, at its own time",
    "Range2": "Maximum2 less Minimum2",
    "Count": "How many good values there are",
    "AnnotationCount": "How many annotations there are",
    "DurationInStateZero": "How long the value was zero, in ms",
    "DurationInStateNonZero": "How long the value was not zero, in ms",
    "NumberOfTransitions": "How often the value changed between zero and not zero",
    "Start": "The first value, good or not, at its own time",
    "End": "The last value, good or not, at its own time",
    "Delta": "The last good value less the first",
    "StartBound": "The value at the beginning of the interval, by its nearest neighbours",
    "EndBound": "The value at the end of the interval, by its nearest neighbours",
    "DeltaBounds": "EndBound less StartBound, where both are good",
    "DurationGood": "How long the value was good, in ms",
    "DurationBad": "How long the value was bad, in ms",
    "PercentGood": "The share of the interval in which the value was good, in percent",
    "PercentBad": "The share of the interval in which the value was bad, in percent",
    "WorstQuality": "The worst status of all values",
    "WorstQuality2": "The worst status of all values and of that at the beginning of the interval",
    "StandardDeviationSample": "The standard deviation of the good values, taken for a sample of more (n - 1)",
    "StandardDeviationPopulation": "The standard deviation of the good values, taken for all there are (n)",
    "VarianceSample": "The variance of the good values, taken for a sample of more (n - 1)",
    "VariancePopulation": "The variance of the good values, taken for all there are (n)",
}
"""By the browse name of the object."""
