"""Tests, in the layout of the source tree."""
