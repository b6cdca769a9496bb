"""Values that are checked as they are made, and what is wrong with one as a line for the user."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Strict: true and "3" are integers to pydantic, and to nobody else.
Integer = Annotated[int, Field(strict=True)]
Count = Annotated[Integer, Field(gt=0)]
YesNo = Annotated[bool, Field(strict=True)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Frozen(BaseModel):
    """Base of the validated values: immutable, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
