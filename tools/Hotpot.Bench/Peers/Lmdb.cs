using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hotpot.Bench.Peers;

// LMDB as a peer: a single file, integer keys, read through its memory map.
//
// mdb_get touches no lock and calls nothing that blocks, so it is called without the runtime's transition, which is a tenth of its own time.
// MDB_NOTLS: a turn may run on another thread than the one before, so the reader's slot must not be a thread's.

/// <summary>A file of values under the keys 0, 1, 2 ...</summary>
internal static partial class Lmdb
{
    private const string Library = "liblmdb.so.0";
    private const uint NoSubDirectory = 0x4000;
    private const uint NoSync = 0x10000;
    internal const uint ReadOnly = 0x20000;
    private const uint WriteMap = 0x80000;
    private const uint NoTls = 0x200000;
    private const uint IntegerKey = 0x08;
    private const uint Append = 0x20000;

    // A transaction of 64 Mi bytes of values keeps the list of dirty pages short.
    private const int RecordsPerTransaction = 1 << 16;

    public delegate void ValueFiller(int record, Span<byte> value);

    /// <summary>Debian's package liblmdb0.</summary>
    public static bool IsInstalled()
    {
        if (!NativeLibrary.TryLoad(Library, out var handle))
            return false;
        NativeLibrary.Free(handle);
        return true;
    }

    public static unsafe void Load(string file, long mapBytes, int records, int valueBytes, ValueFiller fill)
    {
        Check(mdb_env_create(out var environment));
        try
        {
            Check(mdb_env_set_mapsize(environment, (nuint)mapBytes));
            Check(mdb_env_open(environment, file, NoSubDirectory | NoSync | WriteMap, mode: 0x180));
            var bytes = new byte[valueBytes];
            for (var first = 0; first < records; first += RecordsPerTransaction)
            {
                Check(mdb_txn_begin(environment, 0, 0, out var transaction));
                Check(mdb_dbi_open(transaction, null, IntegerKey, out var database));
                for (var record = first; record < Math.Min(first + RecordsPerTransaction, records); record++)
                {
                    fill(record, bytes);
                    ulong number = (ulong)record;
                    fixed (byte* pointer = bytes)
                    {
                        Value key = new() { Size = sizeof(ulong), Data = (nint)(&number) }, value = new() { Size = (nuint)valueBytes, Data = (nint)pointer };
                        Check(mdb_put(transaction, database, &key, &value, Append));
                    }
                }

                Check(mdb_txn_commit(transaction));
            }
        }
        finally
        {
            mdb_env_close(environment);
        }
    }

    internal static void OpenReader(string file, out nint environment, out nint transaction, out uint database)
    {
        Check(mdb_env_create(out environment));
        Check(mdb_env_open(environment, file, NoSubDirectory | ReadOnly | NoTls, mode: 0x180));
        Check(mdb_txn_begin(environment, 0, ReadOnly, out transaction));
        Check(mdb_dbi_open(transaction, null, IntegerKey, out database));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Check(int status)
    {
        if (status != 0)
            Throw(status);
    }

    private static void Throw(int status) => throw new IOException($"LMDB: {Marshal.PtrToStringUTF8(mdb_strerror(status))}.");

    [StructLayout(LayoutKind.Sequential)]
    internal struct Value
    {
        public nuint Size;
        public nint Data;
    }

    [LibraryImport(Library)]
    private static partial int mdb_env_create(out nint environment);

    [LibraryImport(Library)]
    private static partial int mdb_env_set_mapsize(nint environment, nuint size);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mdb_env_open(nint environment, string path, uint flags, uint mode);

    [LibraryImport(Library)]
    internal static partial void mdb_env_close(nint environment);

    [LibraryImport(Library)]
    internal static partial int mdb_txn_begin(nint environment, nint parent, uint flags, out nint transaction);

    [LibraryImport(Library)]
    internal static partial int mdb_txn_commit(nint transaction);

    [LibraryImport(Library)]
    internal static partial void mdb_txn_abort(nint transaction);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    internal static partial void mdb_txn_reset(nint transaction);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    internal static partial int mdb_txn_renew(nint transaction);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int mdb_dbi_open(nint transaction, string? name, uint flags, out uint database);

    [LibraryImport(Library)]
    internal static unsafe partial int mdb_put(nint transaction, uint database, Value* key, Value* value, uint flags);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    internal static unsafe partial int mdb_get(nint transaction, uint database, Value* key, Value* value);

    [LibraryImport(Library)]
    private static partial nint mdb_strerror(int status);
}

/// <summary>An open file with one read transaction. One caller at a time.</summary>
internal sealed class LmdbReader : IDisposable
{
    private readonly nint _environment;
    private readonly nint _transaction;
    private readonly uint _database;

    public LmdbReader(string file) => Lmdb.OpenReader(file, out _environment, out _transaction, out _database);

    /// <summary>From now on shows what is committed now.</summary>
    public void Renew()
    {
        Lmdb.mdb_txn_reset(_transaction);
        Lmdb.Check(Lmdb.mdb_txn_renew(_transaction));
    }

    /// <summary>The value in LMDB's own memory, valid until the transaction is renewed.</summary>
    public unsafe ReadOnlySpan<byte> Get(int record)
    {
        var number = (ulong)record;
        Lmdb.Value key = new() { Size = sizeof(ulong), Data = (nint)(&number) }, value = default;
        Lmdb.Check(Lmdb.mdb_get(_transaction, _database, &key, &value));
        return new ReadOnlySpan<byte>((void*)value.Data, checked((int)value.Size));
    }

    public void Dispose()
    {
        Lmdb.mdb_txn_abort(_transaction);
        Lmdb.mdb_env_close(_environment);
    }
}
