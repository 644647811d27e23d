"""Data of the boards: one TOML file and one calibration per board, templates of vendor projects."""
