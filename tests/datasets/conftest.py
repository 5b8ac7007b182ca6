from tests.tensors.conftest import azure_out, local_out, moto_port, out, s3_out

__all__ = ["azure_out", "local_out", "moto_port", "out", "s3_out"]
