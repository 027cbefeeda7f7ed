namespace Hotpot.Bench.Peers;

/// <summary>An LMDB file of byte keys, read and written by several processes. Safe for concurrent use; each thread has a reader of its own.</summary>
internal sealed class LmdbTree
{
    // The environment lives as long as the process: readers of other workloads may still use it.
    private readonly nint _environment;
    private readonly uint _database;

    public LmdbTree(string file, long mapBytes)
    {
        _environment = Lmdb.OpenShared(file, mapBytes);
        Lmdb.Check(Lmdb.mdb_txn_begin(_environment, 0, 0, out var transaction));
        Lmdb.Check(Lmdb.mdb_dbi_open(transaction, null, 0, out _database));
        Lmdb.Check(Lmdb.mdb_txn_commit(transaction));
    }

    public Reader OpenReader() => new(_environment, _database);

    /// <summary>One transaction.</summary>
    public unsafe void Put(IEnumerable<KeyValuePair<byte[], ReadOnlyMemory<byte>>> records)
    {
        Lmdb.Check(Lmdb.mdb_txn_begin(_environment, 0, 0, out var transaction));
        foreach (var (keyBytes, valueBytes) in records)
        {
            fixed (byte* keyPointer = keyBytes, valuePointer = valueBytes.Span)
            {
                Lmdb.Value key = Of(keyPointer, keyBytes.Length), value = Of(valuePointer, valueBytes.Length);
                Lmdb.Check(Lmdb.mdb_put(transaction, _database, &key, &value, 0));
            }
        }

        Lmdb.Check(Lmdb.mdb_txn_commit(transaction));
    }

    private static unsafe Lmdb.Value Of(byte* pointer, int length) => new() { Size = (nuint)length, Data = (nint)pointer };

    /// <summary>A read transaction that is renewed for each operation. One thread at a time.</summary>
    public sealed class Reader : IDisposable
    {
        private readonly nint _transaction;
        private readonly nint _cursor;
        private readonly uint _database;

        public Reader(nint environment, uint database)
        {
            _database = database;
            Lmdb.Check(Lmdb.mdb_txn_begin(environment, 0, Lmdb.ReadOnly, out _transaction));
            Lmdb.Check(Lmdb.mdb_cursor_open(_transaction, database, out _cursor));
            Lmdb.mdb_txn_reset(_transaction);
        }

        /// <summary>Null: there is no such key.</summary>
        public unsafe int? TryGet(byte[] keyBytes, Span<byte> buffer)
        {
            Lmdb.Check(Lmdb.mdb_txn_renew(_transaction));
            try
            {
                fixed (byte* pointer = keyBytes)
                {
                    Lmdb.Value key = Of(pointer, keyBytes.Length), value = default;
                    if (!Found(Lmdb.mdb_get(_transaction, _database, &key, &value)))
                        return null;
                    new ReadOnlySpan<byte>((void*)value.Data, checked((int)value.Size)).CopyTo(buffer);
                    return (int)value.Size;
                }
            }
            finally
            {
                Lmdb.mdb_txn_reset(_transaction);
            }
        }

        /// <summary>Copies values in the order of their keys; returns how many there were.</summary>
        public unsafe int Scan(byte[] from, int records, Span<byte> buffer)
        {
            Lmdb.Check(Lmdb.mdb_txn_renew(_transaction));
            try
            {
                Lmdb.Check(Lmdb.mdb_cursor_renew(_transaction, _cursor));
                fixed (byte* pointer = from)
                {
                    Lmdb.Value key = Of(pointer, from.Length), value = default;
                    var count = 0;
                    for (var found = Found(Lmdb.mdb_cursor_get(_cursor, &key, &value, Lmdb.SetRange)); found && count < records; count++)
                    {
                        new ReadOnlySpan<byte>((void*)value.Data, checked((int)value.Size)).CopyTo(buffer);
                        found = Found(Lmdb.mdb_cursor_get(_cursor, &key, &value, Lmdb.Next));
                    }

                    return count;
                }
            }
            finally
            {
                Lmdb.mdb_txn_reset(_transaction);
            }
        }

        public void Dispose()
        {
            Lmdb.mdb_cursor_close(_cursor);
            Lmdb.mdb_txn_abort(_transaction);
        }

        private static bool Found(int status)
        {
            if (status == Lmdb.NotFound)
                return false;
            Lmdb.Check(status);
            return true;
        }
    }
}
