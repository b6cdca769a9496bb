"""The settings of our own methods: a schema's defaults, and what is given checked against it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue, ValidationError

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.validation import Frozen, complaint_of
from peftlab.methods.base import Method


class NoSettings(Frozen):
    """The settings of a method that has none."""


def checked(
    schema: type[Frozen], given: Mapping[str, JsonValue], *, method: str, where: str
) -> dict[str, JsonValue]:
    """Return all settings of the schema, those given checked and the others at their defaults.

    What a setting may be is its field's description. Raises UserError that names the setting.
    """
    for key in given:
        if key not in schema.model_fields:
            raise UnknownNameError(
                f"setting of the method {method}", key, schema.model_fields, where=where
            )
    try:
        return schema.model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        key = str(complaint_of(error).path[0])
        raise UserError(
            f"{key} = {repr(given[key])[:60]} is not valid",
            where=where,
            allowed=schema.model_fields[key].description or "",
        ) from error


class SchemaMethod(Method):
    """A method whose settings are the fields of a schema of ours."""

    schema: type[Frozen]

    def settings(self) -> dict[str, JsonValue]:
        """Return the schema's fields with their defaults."""
        return self.schema().model_dump(mode="json")

    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """Return all settings, those given checked."""
        return checked(self.schema, given, method=self.name, where=where)
