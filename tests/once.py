"""What is alike in every web app, made once for all tests of a process: an app of its own then costs a test little."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from flask_openapi import utils
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule


class _Compiled(BytecodeCache):
    """Compiled templates in memory; Jinja checks each against its source."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill `bucket` if its template was compiled before."""
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._code[bucket.key] = bucket.bytecode_to_string()


TEMPLATES = _Compiled()


@contextmanager
def described_and_routed_once() -> Iterator[None]:
    """The schema of a model follows from the model, and what builds an address from its rule: each is made once."""
    describe, route = utils.get_model_schema, Rule._compile_builder
    builders: dict[tuple[Any, ...], Any] = {}

    @cache
    def described(model: Any, mode: Any) -> bytes:
        return pickle.dumps(describe(model, mode))

    def builder(rule: Rule, append_unknown: bool = True) -> Any:
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in builders:
            builders[key] = route(rule, append_unknown)
        return builders[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            utils, "get_model_schema", lambda model, mode="validation": pickle.loads(described(model, mode))
        )
        patch.setattr(Rule, "_compile_builder", builder)
        yield
