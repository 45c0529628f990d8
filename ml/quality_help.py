"""What `python -m ml quality --help` teaches."""

from typing import Final

QUALITY: Final = """\
Judge the lake before it is learned from; 1 if training must not go on. Run it after `panel` (and `plan`), before
`train`, which refuses a data version that failed or was not judged.

The newest days (62) are compared with the same weekday of the weeks before them (8), by median and spread. Each
check says pass, warn, fail or "not enough data", its value, from which value on it fails, and which rows to look at:

  freshness                       days since the newest event
  events_schema, panel_schema     values that no event, no row of the panel may have
  duplicates, currency            ids that come twice, prices in another currency
  refused                         share of the rows that came and were refused
  volume, gaps, silent, vanished  events of a day, days, sources and regular products that are missing
  repeated                        events told twice under two ids
  unseen_products, _categories    names that were never seen before
  price_jumps, quantities, hours  prices, units and times far from what is usual

The report is kept in the lake (table quality_reports) and shown in the console. Every threshold is a variable
ML_QUALITY_<FIELD> of ml/data_gate/settings.py. A holiday or a closed day that is known goes into
ML_QUALITY_KNOWN_DAYS='["2026-12-25"]': it is neither judged nor compared with.
"""
