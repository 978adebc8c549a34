"""Prints every tensor of a weights.arrow, read by pyarrow alone; with a second argument also rewrites the file.

usage: read_weights.py weights.arrow [rewritten.arrow rows-per-batch]
One line per tensor: name, role, dtype, shape, codebook, crc32c, sha256 of the bytes, separated by tabs.
"""

import hashlib
import sys

import pyarrow as pa

table = pa.ipc.open_file(pa.memory_map(sys.argv[1])).read_all()
table.validate(full=True)
for key, value in sorted((table.schema.metadata or {}).items()):
    print(f"# {key.decode()} = {value.decode()}")
for i in range(table.num_rows):
    row = {c: table.column(c)[i] for c in table.column_names}
    print(
        row["name"].as_py(),
        row["role"].as_py(),
        row["dtype"].as_py(),
        row["shape"].as_py(),
        row["codebook"].as_py(),
        row["crc32c"].as_py(),
        hashlib.sha256(memoryview(row["data"].as_buffer())).hexdigest(),
        sep="\t",
    )

if len(sys.argv) > 2:
    with pa.OSFile(sys.argv[2], "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=int(sys.argv[3]))
