using System.Runtime.InteropServices;

namespace Hotpot.Bench.Peers;

// What a file that several processes write needs beside what a file that is only read does.
internal static partial class Lmdb
{
    public const int NotFound = -30798;

    /// <summary>Cursor operations: the first key that is not below; the next one.</summary>
    public const int SetRange = 17;
    public const int Next = 8;

    /// <summary>Flushed at each commit.</summary>
    public static nint OpenShared(string file, long mapBytes)
    {
        Check(mdb_env_create(out var environment));
        Check(mdb_env_set_mapsize(environment, (nuint)mapBytes));
        Check(mdb_env_open(environment, file, NoSubDirectory | NoTls, mode: 0x180));
        return environment;
    }

    [LibraryImport(Library)]
    internal static partial int mdb_cursor_open(nint transaction, uint database, out nint cursor);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    internal static partial int mdb_cursor_renew(nint transaction, nint cursor);

    [LibraryImport(Library)]
    [SuppressGCTransition]
    internal static unsafe partial int mdb_cursor_get(nint cursor, Value* key, Value* value, int operation);

    [LibraryImport(Library)]
    internal static partial void mdb_cursor_close(nint cursor);
}
