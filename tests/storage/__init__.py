import pytest

# The suite's asserts should say as much as a test's own.
pytest.register_assert_rewrite("tests.contracts.storage_backend")
