"""The Triton kernels of each operation."""

from __future__ import annotations

from peftlab.models.cuda.attention import AttentionKernels, MaskedAttentionKernels
from peftlab.models.cuda.dropout import DropoutKernels
from peftlab.models.cuda.embedding import LookUpKernels
from peftlab.models.cuda.gelu import GeluKernels
from peftlab.models.cuda.linear import JoinedLinearKernels
from peftlab.models.cuda.norm import NormKernels
from peftlab.models.cuda.rows import TakeRowsKernels
from peftlab.models.cuda.shared import (
    SharedAttentionKernels,
    SharedDropoutKernels,
    SharedLinearKernels,
    SharedLookUpKernels,
    SharedNormKernels,
    SharedTakeRowsKernels,
)
from peftlab.models.fused.attention import Attention
from peftlab.models.fused.dropout import Dropout
from peftlab.models.fused.embedding import LookUp
from peftlab.models.fused.gelu import Gelu
from peftlab.models.fused.linear import JoinedLinear
from peftlab.models.fused.norm import DropoutAddNorm
from peftlab.models.fused.operation import Kernels, PlainOperation
from peftlab.models.fused.rows import TakeRows
from peftlab.models.fused.shared import (
    SharedAttention,
    SharedDropout,
    SharedGelu,
    SharedLookUp,
    SharedNorm,
    SharedTakeRows,
)
from peftlab.models.fused.shared_linear import SharedLinear
from peftlab.models.masked_attention import MaskedAttention

KERNELS: dict[type[PlainOperation], type[Kernels]] = {
    Attention: AttentionKernels,
    Dropout: DropoutKernels,
    DropoutAddNorm: NormKernels,
    Gelu: GeluKernels,
    JoinedLinear: JoinedLinearKernels,
    LookUp: LookUpKernels,
    MaskedAttention: MaskedAttentionKernels,
    TakeRows: TakeRowsKernels,
    SharedAttention: SharedAttentionKernels,
    SharedDropout: SharedDropoutKernels,
    SharedGelu: GeluKernels,  # no number depends on a model
    SharedLinear: SharedLinearKernels,
    SharedLookUp: SharedLookUpKernels,
    SharedNorm: SharedNormKernels,
    SharedTakeRows: SharedTakeRowsKernels,
}
