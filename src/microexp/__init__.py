"""microexp: facial micro-expressions, from clips to an honest leave-one-subject-out table.

Start with ``microexp demo`` on the command line, or in Python::

    from microexp import datasets, evaluate, recognize

    data = datasets.create("synthetic").load()
    result = evaluate.loso(recognize.create("linear_svm"), data)
"""

__version__ = "0.1.0.dev0"
