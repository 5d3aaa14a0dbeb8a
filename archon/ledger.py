"""The ledger: every completed call ever made, stored once and never lost.

A call is addressed by what determines it: the request's key (model identity, messages, sampling),
the sample's index and the epoch. Samples are nested: the first k of n samples of a prompt are k
samples of that prompt. Epoch 0 is the search; every confirmation block takes an epoch of its own,
so its calls are always fresh.
"""

import json
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from archon.engines.base import Completion, Request
from archon.errors import LedgerError

SCHEMA_VERSION = 2
SEARCH_EPOCH = 0
FLUSH_S = 0.02
_FETCH_CHUNK = 400

_metadata = sa.MetaData()
_meta = sa.Table(
    "meta",
    _metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
_prompts = sa.Table(
    "prompts",
    _metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("messages", sa.Text, nullable=False),
    sa.Column("sampling", sa.Text, nullable=False),
)
_calls = sa.Table(
    "calls",
    _metadata,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("sample", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("finish_reason", sa.String(20), nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("ttft_s", sa.Float),
    sa.Column("latency_s", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("mean_logprob", sa.Float),
    sa.Column("top_logprobs", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("cpu_s", sa.Float),  # since version 2
    sa.Column("window", sa.Integer),
)
_windows = sa.Table(
    "windows",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study", sa.String(200), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("record", sa.Text),  # NULL while open, and for ever when a crash cut it off
)
_epochs = sa.Table(
    "epochs",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study", sa.String(200), nullable=False),
    sa.Column("purpose", sa.String(200), nullable=False),
)
_prices = sa.Table(
    "prices",
    _metadata,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
)


_COMPLETION = tuple(field.name for field in fields(Completion))
_TOP_LOGPROBS = _COMPLETION.index("top_logprobs")
_SELECT_CALLS = sa.select(_calls.c.key, _calls.c.sample, *(_calls.c[name] for name in _COMPLETION))


@dataclass(frozen=True, slots=True)
class _Put:
    request: Request
    sample: int
    epoch: int
    completion: Completion
    window: int | None


class Ledger:
    """A ledger in SQLite (a path) or any SQLAlchemy database (a URL).

    Reads are synchronous; writes go through one thread that commits within `FLUSH_S` seconds, so
    killing the process loses only calls still in flight.

    Args:
        location: File path, or database URL containing ``://``.

    Raises:
        LedgerError: The file is not a ledger, is of another version, or cannot be written.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = str(location)
        try:
            self._engine = sa.create_engine(_url(self.location))
        except (OSError, ImportError, sa.exc.ArgumentError) as error:
            raise self._error(error) from error
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", sqlite_pragmas)
        self._queue: queue.SimpleQueue[_Put | threading.Event | None] = queue.SimpleQueue()
        self._failure: LedgerError | None = None
        self._known_prompts: set[bytes] = set()
        try:
            _metadata.create_all(self._engine)
            self._check_version()
        except sa.exc.DatabaseError as error:
            raise self._error(error) from error
        self._writer = threading.Thread(target=self._write_forever, name="ledger", daemon=True)
        self._writer.start()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Calls

    def put(
        self, request: Request, sample: int, epoch: int, completion: Completion, window: int | None
    ) -> None:
        """Store a completed call; it is on disk within `FLUSH_S` seconds.

        Calls that failed after retries are not stored (they are no property of the request);
        calls the server refused are.

        Raises:
            LedgerError: An earlier write failed (disk full, file locked).
        """
        if self._failure is not None:
            raise self._failure
        if completion.finish_reason != "error":
            self._queue.put(_Put(request, sample, epoch, completion, window))

    def flush(self) -> None:
        """Return when everything put so far is committed."""
        done = threading.Event()
        self._queue.put(done)
        done.wait()
        if self._failure is not None:
            raise self._failure

    def fetch(
        self, keys: Sequence[bytes], epoch: int = SEARCH_EPOCH
    ) -> dict[bytes, dict[int, Completion]]:
        """Return the stored samples of each request key that has any: key → sample → call."""
        found: dict[bytes, dict[int, Completion]] = {}
        with self._connect() as connection:
            for start in range(0, len(keys), _FETCH_CHUNK):
                chunk = keys[start : start + _FETCH_CHUNK]
                query = _SELECT_CALLS.where(_calls.c.key.in_(chunk), _calls.c.epoch == epoch)
                for key, sample, *values in connection.execute(query):
                    values[_TOP_LOGPROBS] = _load_logprobs(values[_TOP_LOGPROBS])
                    found.setdefault(key, {})[sample] = Completion(*values)
        return found

    def count(self, epoch: int | None = None) -> int:
        """Return the number of stored calls, of one epoch or of all."""
        query = sa.select(sa.func.count()).select_from(_calls)
        if epoch is not None:
            query = query.where(_calls.c.epoch == epoch)
        with self._connect() as connection:
            return int(connection.execute(query).scalar_one())

    # Windows, epochs, prices

    def open_window(self, study: str, label: str) -> int:
        """Record that a metered window begins; without `close_window` it counts as cut off."""
        row = {"study": study, "label": label, "started_at": time.time()}
        return self._insert_id(_windows, row)

    def close_window(self, window: int, record: Mapping[str, Any]) -> None:
        """Store what was measured in a window."""
        update = _windows.update().where(_windows.c.id == window)
        with self._begin() as connection:
            connection.execute(update.values(record=json.dumps(record)))

    def windows(self, study: str) -> list[tuple[str, dict[str, Any] | None]]:
        """Return (label, record) of a study's windows in order; None marks a cut-off one."""
        query = sa.select(_windows.c.label, _windows.c.record).where(_windows.c.study == study)
        with self._connect() as connection:
            rows = connection.execute(query.order_by(_windows.c.id)).all()
        return [(label, json.loads(record) if record else None) for label, record in rows]

    def new_epoch(self, study: str, purpose: str) -> int:
        """Return an epoch (1, 2, …) no call was ever stored under."""
        return self._insert_id(_epochs, {"study": study, "purpose": purpose})

    def load_prices(self, fingerprint: str) -> dict[str, Any] | None:
        """Return the price list stored under a fingerprint, or None."""
        query = sa.select(_prices.c.record).where(_prices.c.fingerprint == fingerprint)
        with self._connect() as connection:
            record = connection.execute(query).scalar_one_or_none()
        return json.loads(record) if record is not None else None

    def save_prices(self, fingerprint: str, record: Mapping[str, Any]) -> None:
        """Store a price list, in place of an earlier one of the same fingerprint."""
        row = {
            "fingerprint": fingerprint,
            "created_at": time.time(),
            "record": json.dumps(record),
        }
        with self._begin() as connection:
            connection.execute(_prices.delete().where(_prices.c.fingerprint == fingerprint))
            connection.execute(_prices.insert(), row)

    def close(self) -> None:
        """Commit what is queued and release the file."""
        self._queue.put(None)
        self._writer.join()
        self._engine.dispose()

    # Plumbing

    def _write_forever(self) -> None:
        open_ = True
        while open_:
            batch: list[_Put] = []
            waiting: list[threading.Event] = []
            item = self._queue.get()
            until = time.monotonic() + FLUSH_S
            while True:
                if item is None:
                    open_ = False
                elif isinstance(item, _Put):
                    batch.append(item)
                else:
                    waiting.append(item)
                if not open_ or waiting:
                    until = 0.0
                try:
                    item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
            try:
                self._write(batch)
            except Exception as error:  # whatever it is, flush() must hear of it
                self._failure = self._error(error)
            for event in waiting:
                event.set()

    def _write(self, batch: Sequence[_Put]) -> None:
        if not batch:
            return
        new = {
            put.request.key: put.request
            for put in batch
            if put.request.key not in self._known_prompts
        }
        with self._engine.begin() as connection:
            _insert_new(connection, _prompts, (_prompt_row(request) for request in new.values()))
            _insert_new(connection, _calls, (_call_row(put) for put in batch))
        self._known_prompts |= new.keys()

    def _insert_id(self, table: sa.Table, row: Mapping[str, Any]) -> int:
        with self._begin() as connection:
            result = connection.execute(table.insert(), [dict(row)])
            key = result.inserted_primary_key
        assert key is not None
        return int(key[0])

    def _check_version(self) -> None:
        named = _meta.c.name == "version"
        with self._begin() as connection:
            query = sa.select(_meta.c.value).where(named)
            version = connection.execute(query).scalar_one_or_none()
            if version is None:
                connection.execute(_meta.insert(), {"name": "version", "value": SCHEMA_VERSION})
            elif version == "1":
                # The update comes first: it locks, so that of two processes one adds the column.
                update = _meta.update().where(named, _meta.c.value == "1")
                if connection.execute(update.values(value=str(SCHEMA_VERSION))).rowcount:
                    connection.execute(sa.text("ALTER TABLE calls ADD COLUMN cpu_s FLOAT"))
            elif int(version) != SCHEMA_VERSION:
                raise LedgerError(
                    f"{self.location}: ledger of version {version}, this program reads version "
                    f"{SCHEMA_VERSION}; name another file under storage.ledger"
                )

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except sa.exc.DatabaseError as error:
            raise self._error(error) from error

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.DatabaseError as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> LedgerError:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        return LedgerError(
            f"{self.location}: the ledger cannot be used ({cause}); is it a ledger file, writable "
            "and not held by another program?"
        )


def _url(location: str) -> sa.URL:
    if "://" in location:
        return sa.make_url(location)
    Path(location).parent.mkdir(parents=True, exist_ok=True)
    return sa.URL.create("sqlite", database=location)


def sqlite_pragmas(connection: Any, _: object) -> None:
    """Make commits cheap and safe against a killed process, and wait for other writers."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # in WAL mode safe against a killed process
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()


def _insert_new(connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows whose primary key is not there yet; the first version of a row stays."""
    listed = list(rows)
    if not listed:
        return
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        connection.execute(postgresql_insert(table).on_conflict_do_nothing(), listed)
    else:
        connection.execute(table.insert().prefix_with("OR IGNORE"), listed)


def _prompt_row(request: Request) -> dict[str, Any]:
    return {
        "key": request.key,
        "model": request.model,
        "messages": json.dumps(request.messages, ensure_ascii=False),
        "sampling": json.dumps(asdict(request.sampling)),
    }


def _call_row(put: _Put) -> dict[str, Any]:
    done = put.completion
    logprobs = None if done.top_logprobs is None else json.dumps(done.top_logprobs)
    return {
        "key": put.request.key,
        "epoch": put.epoch,
        "sample": put.sample,
        "text": done.text,
        "finish_reason": done.finish_reason,
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "cached_tokens": done.cached_tokens,
        "ttft_s": done.ttft_s,
        "latency_s": done.latency_s,
        "attempts": done.attempts,
        "mean_logprob": done.mean_logprob,
        "top_logprobs": logprobs,
        "error": done.error,
        "cpu_s": done.cpu_s,
        "window": put.window,
    }


def _load_logprobs(text: str | None) -> tuple[tuple[tuple[str, float], ...], ...] | None:
    if text is None:
        return None
    return tuple(
        tuple((token, logprob) for token, logprob in position) for position in json.loads(text)
    )
