"""The tape on which stand-ins write down what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from schuss.engines.devices.device import keeps_numbers
from schuss.engines.errors import DimensionsRead, UntraceableError
from schuss.engines.program.axes import Axes, broadcast, own_axes, reduced
from schuss.engines.program.operations import DRAWS, PREDICATES, REDUCTIONS
from schuss.engines.program.program import COUNT, Node, Place
from schuss.engines.program.stages import taken
from schuss.engines.tracing.calculation import Number, drawn
from schuss.engines.tracing.several import Several
from schuss.engines.tracing.sizes import Size, UnknownSize
from schuss.storage.numbers import NUMBER

if TYPE_CHECKING:
    from schuss.engines.tracing.blocks import Blocks
    from schuss.engines.tracing.standin import StandIn


class Whole(NamedTuple):
    """Tensors that functions of whole tensors may be given as they lie in memory.

    Attributes:
        kept: State of another shape than its parameter's: by key, a tensor without memory like it.
        direct: The inputs that are stored in the precision that the rule sees.
    """

    kept: Mapping[str, Tensor]
    direct: frozenset[int]


class Dimensions:
    """The dimensions of the parameters that are traced, as far as they are known.

    Attributes:
        axes: Their axes; None if they differ in number.
        sizes: The sizes of the axes; None if they differ.
        along: Statistics along them may be made: stand-ins know their axes.
        heads: Into how many equal parts the first is divided; 0 if it is not, None if it cannot be.
        single: The parameters are of one number.
        whole: The tensors that functions of whole tensors may be given; None if none may be called.
        passing: The calls of such functions whose errors the rule is known to let pass.
    """

    def __init__(
        self,
        axes: Axes | None = None,
        sizes: Sequence[int] | None = None,
        *,
        along: bool = False,
        heads: int | None = 0,
        single: bool = False,
        whole: Whole | None = None,
    ) -> None:
        self.axes = axes
        self.sizes = sizes
        self.along = along
        self.heads = heads
        self.single = single
        self.whole = whole
        self.passing: set[tuple[int, str]] = set()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the parameters, whose sizes are known."""
        sizes = self.sizes or ()
        return tuple(prod(sizes[axis] for axis in each) for each in self.axes or ())


class Tape:
    """The operations that have been written down so far.

    Attributes:
        inputs: Where the first values are read.
        nodes: The operations.
        arguments: The numbers that met stand-ins; arrays, where they differ among parameters.
        like: A tensor with the dtype and the device of all tensors that are stood in for.
        dimensions: Their dimensions, as far as they are known.
        numbers: Keys of the state whose tensors of one number are real ones, by their identity.
        drawn: Returns a random number from which each element gets its own.
        on_device: For arguments that are kept as tensors, because to read them is to wait for the
            device that computes them: the tensor, or what stands in for it, by the argument's
            position.
        blocks: The whole tensors that functions took or returned, if there are any.
        fails_at: The call of such a function that is made to fail, by its number; see `failing`.
    """

    stand_in: type[StandIn]  # set by the module that defines it, and needs this one
    called: Callable[..., Any]  # set by the tracer, from `whole`
    recorded: Callable[..., Any]  # the same
    result_of: Callable[..., StandIn]  # the same
    constant: Callable[..., Any]  # the same

    def __init__(
        self,
        inputs: Sequence[Place],
        like: Tensor,
        dimensions: Dimensions,
        drawn: Callable[[], Any] = drawn,
    ) -> None:
        self.inputs = inputs
        self.nodes: list[Node] = []
        self.arguments: list[Any] = []
        self.like = like
        self.dimensions = dimensions
        self.numbers: dict[int, str] = {}
        self.on_device: dict[int, Any] = {}
        self.drawn = drawn
        self.blocks: Blocks | None = None
        self.fails_at: int | None = None
        self._next = len(inputs)
        self._per_tensor = [place.per_tensor for place in inputs]

    def record(self, operation: str, *operands: Any) -> StandIn:
        """Add an operation on stand-ins and numbers, and return the stand-in for its value."""
        node: list[Any] = [operation]
        of_axes, stand_in = False, self.stand_in
        if any(isinstance(x, Tensor) and x.numel() != 1 for x in operands):
            operands = tuple(map(self._element, operands))
        for operand in operands:
            if type(operand) is stand_in:
                node.append(operand.value)
                of_axes = of_axes or operand.axes is not None
            else:
                node.append(self.argument(operand))
        self.nodes.append(tuple(node))
        value = self._next
        self._next = value + 1
        made = stand_in(self, value)
        if of_axes:
            tensors = [self.axes_of(x) for x in operands if type(x) is stand_in]
            made.axes = self.plain(broadcast(tensors))
        return made

    def copy(self, x: StandIn, frozen: str | None = None) -> StandIn:
        """Return another stand-in with the same value.

        Args:
            x: The stand-in to copy.
            frozen: Its name in the error for writing to it, or None if that is allowed.
        """
        made = self.stand_in(self, x.value, frozen)
        made.axes = x.axes
        return made

    def seen_as(self, x: StandIn, axes: Axes | None, frozen: str) -> StandIn:
        """Return a stand-in for the same memory in another shape."""
        made = self.copy(x, frozen)
        x.views = made.views = x.views or [x]
        x.views.append(made)
        made.axes = self.plain(axes)
        return made

    def spread(self, x: Any, axes: Axes) -> StandIn:
        """Return a stand-in for a number, or for fewer numbers, repeated along axes."""
        operand = x.value if type(x) is self.stand_in else self.argument(x)
        return self._along("spread", operand, axes)

    def reduce(self, name: str, x: StandIn, dims: Iterable[int], *, keepdim: bool) -> StandIn:
        """Add a reduction over some dimensions, or over all if there are none."""
        dims = tuple(dims)
        if not dims and not keepdim:
            if self.is_per_tensor(x):  # its own sum, and the largest of itself
                return self.stand_in(self, x.value)
            return self._along(name, x.value, ())
        axes = self.axes_of(x)
        left = reduced(axes, dims or range(len(axes)), keepdim=keepdim)
        if own_axes(left) == own_axes(axes):
            made = self.copy(x)
            made.axes = self.plain(left)
            return made
        return self._along(name, x.value, left)

    def size(self, axes: Iterable[int]) -> StandIn:
        """Return the product of some sizes of a parameter, as an operand."""
        return self._along("size", None, (), tuple(axes))

    def _along(
        self, name: str, operand: int | None, axes: Axes, of: tuple[int, ...] | None = None
    ) -> StandIn:
        """Add an operation whose value has numbers along some axes."""
        which = own_axes(axes) if of is None else of
        whole = of is None and not which and name != "spread"
        if not whole and not self.dimensions.along:
            raise DimensionsRead(along=True)
        self.nodes.append(
            (name if whole else (name, which), *(() if operand is None else (operand,)))
        )
        made = self.stand_in(self, self._next)
        self._next += 1
        made.axes = self.plain(axes)
        return made

    def axes_of(self, x: StandIn) -> Axes:
        """Return the axes of what a stand-in stands for.

        Raises:
            DimensionsRead: The parameters are of several numbers of dimensions.
            TypeError: It is no stand-in, but a tensor that the rule has made without one.
        """
        if type(x) is not self.stand_in:
            raise TypeError("a tensor of the rule's own")
        if x.axes is not None:
            return x.axes
        if self.is_per_tensor(x):
            return ()
        if self.dimensions.axes is None or not (self.dimensions.along or self.dimensions.whole):
            raise DimensionsRead(along=True)
        return self.dimensions.axes

    def plain(self, axes: Axes | None) -> Axes | None:
        """Return None for the axes that need no mention: those of a parameter, or of a number."""
        return None if not axes or axes == self.dimensions.axes else axes

    def is_per_tensor(self, x: StandIn) -> bool:
        """Tell whether a value is one number for a tensor, not one for each element."""
        known = self._per_tensor
        while len(known) <= x.value:
            operation, *operands = self.nodes[len(known) - len(self.inputs)]
            if isinstance(operation, tuple):
                name, along = operation
                known.append(name == "size" or not along)
            elif taken(operation) is not None:
                known.append(False)
            else:
                alike = operation not in DRAWS and all(known[o] for o in operands if o >= 0)
                known.append(operation in REDUCTIONS or alike)
        return known[x.value]

    def is_single(self, x: StandIn) -> bool:
        """Tell whether there is only one number of a value, whatever the parameter."""
        return self.dimensions.single or self.is_per_tensor(x)

    def is_predicate(self, x: StandIn) -> bool:
        """Tell whether a value is true or false."""
        number = x.value - len(self.inputs)
        return number >= 0 and self.nodes[number][0] in PREDICATES

    def count(self) -> StandIn:
        """Return the number of elements, as an operand."""
        return self.stand_in(self, self.inputs.index(COUNT))

    def argument(self, operand: Any) -> int:
        """Return the operand for a number."""
        if type(operand) is not float:
            if type(operand) is Number:
                self.arguments.append(operand)
                return -len(self.arguments)
            if type(operand) is Several:
                self.arguments.append(operand.values)
                return -len(self.arguments)
            if type(operand) is UnknownSize or (type(operand) is Size and self.dimensions.along):
                return self.size(operand.axes).value
            if isinstance(operand, Tensor) and operand.numel() == 1:
                operand = self._number(operand)
            if not isinstance(operand, Real):
                raise UntraceableError(f"a {type(operand).__name__} among the operands")
            operand = float(operand)
        self.arguments.append(operand)
        return -len(self.arguments)  # ~k is -k - 1

    def _element(self, operand: Any) -> Any:
        """Return the stand-in for an element of a tensor that a rule has made, or the operand."""
        is_made = isinstance(operand, Tensor) and operand.numel() != 1
        return self.constant(self, operand).element if is_made else operand

    def _number(self, tensor: Any) -> float:
        """Return the number of a tensor, or keep the tensor as the next argument."""
        if hasattr(type(tensor), "tape"):  # an unknown; see `unknowns`
            self.on_device[len(self.arguments)] = tensor.tape.copy(tensor)
            return 0.0
        like = self.like.device
        if tensor.device.type != like.type or not keeps_numbers(like):
            return float(tensor.item())
        # A copy, as a number would be: the rule may write to the tensor afterwards.
        kept = tensor.detach().reshape(()).to(like, NUMBER, copy=True)
        self.on_device[len(self.arguments)] = kept
        return 0.0
