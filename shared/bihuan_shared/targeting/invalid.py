"""What a wrong expression raises."""

from bihuan_shared.errors import InvalidArgument


class ExpressionInvalid(InvalidArgument):
    """
    The expression does not parse, or says something that the taxonomy does not allow.

    `column` counts characters from 1, over the whole text. `problem` says what was expected there.
    """

    default_reason = "EXPRESSION_INVALID"

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        self.problem = problem
