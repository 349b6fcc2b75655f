"""The SQL of a write, the same words for SQLite and PostgreSQL but for the placeholder."""

from core.persistence.rows import Operation, Write


def statement(write: Write, param: str) -> str:
    """Return the SQL of a write, with `param` as placeholder; see `parameters` for its values.

    An UPSERT is this UPDATE and, when it met no row, `insertion`: `positions` has by specification
    no unique column to conflict on, and one writer needs none.
    """
    match write.operation:
        case Operation.INSERT | Operation.INSERT_NEW:
            return insertion(write, param)
        case Operation.DELETE:
            return f"DELETE FROM {write.table} WHERE {_found(write, param)}"  # noqa: S608
        case Operation.UPDATE | Operation.UPSERT:
            changed = ", ".join(
                f'"{name}" = {param}' for name, _ in write.values if name not in write.key
            )
            return f"UPDATE {write.table} SET {changed} WHERE {_found(write, param)}"  # noqa: S608


def parameters(write: Write) -> list[str | int | float | None]:
    """Return the values of `statement` in its order: the changed, the finding, the protecting."""
    if write.operation in {Operation.INSERT, Operation.INSERT_NEW}:
        return [value for _, value in write.values]
    by_name = dict(write.values)
    changed = [] if write.operation is Operation.DELETE else _changed(write)
    return [*changed, *(by_name[name] for name in write.key), *(write.unless or ("", ()))[1]]


def insertion(write: Write, param: str) -> str:
    """Return the INSERT of a write; only a plain INSERT minds a row with the same unique key."""
    names = ", ".join(f'"{name}"' for name, _ in write.values)
    places = ", ".join([param] * len(write.values))
    clause = "" if write.operation is Operation.INSERT else " ON CONFLICT DO NOTHING"
    return f"INSERT INTO {write.table} ({names}) VALUES ({places}){clause}"  # noqa: S608


def _changed(write: Write) -> list[str | int | float | None]:
    return [value for name, value in write.values if name not in write.key]


def _found(write: Write, param: str) -> str:
    found = " AND ".join(f'"{name}" = {param}' for name in write.key)
    if write.unless is None or not write.unless[1]:
        return found
    column, contents = write.unless
    return f'{found} AND "{column}" NOT IN ({", ".join([param] * len(contents))})'
