"""Checks a book out over gRPC, then tries again and reads why it is refused.

    python examples/python/desk.py DATA ITEM PATRON [SERVICE_POINT]

DATA is the folder of a suite started with `carrel up --data DATA` and set up
with `carrel seed`; ITEM and PATRON are barcodes. Needs the packages grpcio-tools
and grpcio-status; the client code is made from proto/ when the program starts.
"""

import json
import pathlib
import sys
import tempfile
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def make_client_code(folder):
    """Makes Python code from the contract, and puts it on the path."""
    files = [str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto")]
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}"]
    arguments += [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(arguments + files) != 0:
        sys.exit("the contract can't be compiled")
    sys.path.insert(0, str(folder))


def reason(error):
    """The stable reason of a refused call."""
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
            return info.reason
    return None


def main(data, item, patron, service_point="ALDM-CIRC"):
    data = pathlib.Path(data)
    address = json.loads((data / "endpoints.json").read_text())["circulation"]
    token = (data / "token").read_text().strip()
    metadata = [("authorization", f"Bearer {token}")]

    with tempfile.TemporaryDirectory() as folder:
        make_client_code(folder)
        from carrel.circulation.v1 import loan_pb2, loan_pb2_grpc
        from carrel.circulation.v1 import service_point_pb2, service_point_pb2_grpc

        with grpc.insecure_channel(address) as channel:
            points = service_point_pb2_grpc.ServicePointServiceStub(channel).ListServicePoints(
                service_point_pb2.ListServicePointsRequest(), metadata=metadata
            )
            desk = next(point for point in points.service_points if point.code == service_point)
            loans = loan_pb2_grpc.LoanServiceStub(channel)

            def check_out():
                request = loan_pb2.CheckOutRequest(
                    item_barcode=item,
                    patron_barcode=patron,
                    service_point_id=desk.id,
                    request_id=str(uuid.uuid4()),
                )
                return loans.CheckOut(request, metadata=metadata, timeout=10).loan

            loan = check_out()
            print("due", loan.due_at.ToDatetime().isoformat())
            print("rule", loan.applied_rule.line, loan.applied_rule.text.strip())
            try:
                check_out()
            except grpc.RpcError as error:
                print("refused", error.code().name, reason(error))
            else:
                sys.exit("the same book was lent twice")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
