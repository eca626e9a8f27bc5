"""The stacked engine: the rule, called once for a stack of parameters that have one shape.

It is for rules that no program can express, such as those with products of matrices. The rule runs
as on the loop, but `torch.vmap` hands it stacks in place of tensors, so that one call of torch does
the work of many. Small matrices gain most, because a call of torch takes as long as a product of
two matrices of 64 rows. Large ones gain nothing, and are left to the loop.

Stacks are copies, a few at a time. The results are copied back after the rule has returned, so a
rule that raises has changed nothing.
"""
