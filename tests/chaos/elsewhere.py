"""Which tests show what the process chaos cannot inject, or injects in part, by number (B5)."""

# A fault, why it is not (all) in the swarm, and the tests that have it: file::function.
ELSEWHERE: dict[str, tuple[str, tuple[str, ...]]] = {
    "F1": (
        "the kill points themselves",
        ("tests/chaos/test_kill_points.py::test_dies_of_kill_9_and_leaves_a_hit",),
    ),
    "F2": (
        "SIGTERM twice; SIGTERM once is K16",
        (
            "tests/process/test_hard_ends.py::test_a_second_signal_ends_a_slow_stop_at_once_with_130",
        ),
    ),
    "F3": (
        "two instances",
        ("tests/process/test_bad_input.py::test_a_second_bot_and_another_ledger_are_refused",),
    ),
    "F4": (
        "hangs and SystemExit",
        ("tests/actors/test_hang.py", "tests/actors/test_pykka_contract.py"),
    ),
    "F5": (
        "no thread can start; no memory left is not injected",
        ("tests/actors/test_hang.py",),
    ),
    "F37": (
        "ADL",
        ("tests/execution/test_adoption.py::test_a_partial_deleveraging_keeps_the_rest_protected",),
    ),
    "F40": (
        "hedge mode, which halts for good",
        ("tests/execution/test_adoption.py::test_hedge_mode_refuses_the_entry_and_halts",),
    ),
    "F41": (
        "a hand on the same symbol makes the checks of size meaningless",
        (
            "tests/execution/test_adoption.py::test_a_position_doubled_by_hand_is_held_as_the_venue_says_and_stays_protected",
        ),
    ),
    "F48": (
        "rotten pages, cut log, read-only file system, and all of it on PostgreSQL",
        (
            "tests/process/test_storage_faults.py::test_rotten_pages_stop_entries_only",
            "tests/process/test_storage_faults.py::test_a_file_system_turned_read_only_stops_entries_only",
            "tests/process/test_postgresql_faults.py::test_rotten_pages_of_postgresql_stop_entries_only",
            "tests/process/test_postgresql_faults.py::test_a_read_only_postgresql_stops_entries_only",
            "tests/process/test_postgresql_faults.py::test_tables_gone_from_postgresql_are_not_begun_anew_and_work_once_put_back",
            "tests/persistence/test_storage_faults.py::test_pages_that_rot_under_way_stop_all_writing_as_soon_as_they_are_read",
            "tests/persistence/test_storage_faults.py::test_a_write_ahead_log_cut_anywhere_leaves_whole_transactions_and_a_chain_that_holds",
            "tests/persistence/test_storage_faults.py::test_a_read_only_file_or_folder_is_refused_with_what_to_do",
        ),
    ),
    "F46": (
        "a real full file system (ENOSPC)",
        (
            "tests/process/test_storage_faults.py::test_a_full_disk_stops_entries_only_and_what_was_held_is_written_once_there_is_room",
            "tests/process/test_postgresql_faults.py::test_a_full_disk_of_postgresql_stops_entries_only",
        ),
    ),
    "F47": (
        "the locks are held for seconds; until the operator's line is read",
        (
            "tests/process/test_storage_faults.py::test_a_lock_of_another_program_stops_entries_only",
            "tests/process/test_postgresql_faults.py::test_a_locked_journal_of_postgresql_stops_entries_only",
        ),
    ),
    "F49": (
        "an error of fsync itself: not injected; F46's EFBIG comes back as the same I/O error",
        (),
    ),
    "F50": (
        "restart, slow commits, a standby that lacks rows; cut connections with --postgres only",
        (
            "tests/persistence/test_storage_faults.py::test_a_server_that_comes_back_without_its_newest_rows_is_not_written_on",
            "tests/process/test_postgresql_faults.py::test_a_restarted_postgresql_stops_entries_only",
            "tests/persistence/test_storage_faults.py::test_a_commit_that_takes_five_seconds_is_waited_for",
        ),
    ),
    "F51": (
        "no power cut to a process",
        (
            "tests/persistence/test_storage_faults.py::test_each_acknowledged_commit_is_in_the_files_when_the_power_goes",
        ),
    ),
    "F52": (
        "an older schema, an upgrade killed half way",
        (
            "tests/persistence/test_migrations.py::test_an_upgrade_killed_half_way_leaves_the_older_schema_and_is_done_by_the_next_start",
        ),
    ),
    "F53": (
        "the machine's own clock, which all here share",
        (
            "tests/edges/test_gateway_health.py::test_a_step_of_the_wall_clock_is_an_error_until_it_is_measured_again",
        ),
    ),
    "F54": (
        "midnight with open positions is K15",
        (
            "tests/risk/test_day_start.py::test_a_missed_midnight_is_reckoned_from_the_venues_income",
        ),
    ),
    "F55": (
        "model files",
        (
            "tests/process/test_bad_input.py::test_a_corrupt_model_is_refused_and_the_setting_decides_about_trading",
        ),
    ),
    "F56": (
        "a bot that does not start has no orders",
        (
            "tests/process/test_bad_input.py::test_refuses_in_one_line",
            "tests/config/test_settings.py::test_refuses_value_out_of_its_range",
        ),
    ),
    "F57": (
        "the log's side of it",
        ("tests/edges/test_log.py::test_text_from_outside_cannot_forge_a_line",),
    ),
}
