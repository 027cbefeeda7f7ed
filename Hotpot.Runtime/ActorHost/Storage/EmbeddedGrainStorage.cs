using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Options;

namespace Hotpot.Actors;

// Grain storage in files of the cluster directory.
//
// One record is one file: a line of text, then JSON.
//
//     hotpot-grain-state 1 <etag> <crc32c of the JSON, 8 hex digits> <length of the JSON in bytes>\n
//     { ... }
//
// A write takes an flock, reads the ETag that is there, compares it with the one the writer has, and only then replaces the file (written beside,
// synced, renamed, directory synced). So of two writers with the same ETag one wins and the other gets InconsistentStateException, also when
// they are in different processes. This is what makes a duplicate activation harmless: it cannot write.
//
// The ETag of a cleared record is kept nowhere, so a record that was cleared and written again by others could meet a writer that
// remembers an old one: ETags are random, not counted, and never match again.
internal sealed class EmbeddedGrainStorage
{
    // Writers of different records seldom meet on one lock, and the directory does not fill with lock files.
    private const int LockStripes = 64;

    private const string Magic = "hotpot-grain-state";
    private const int MaxHeaderBytes = 256;

    private readonly string _root;
    private readonly Silo _silo;

    public EmbeddedGrainStorage(string name, IOptions<EmbeddedClusteringOptions> options, Silo silo)
    {
        _root = new ClusterDirectory(options.Value.Directory).Storage(name);
        _silo = silo;
        Directory.CreateDirectory(_root);
    }

    public Task<(string? Etag, T? State)> ReadAsync<T>(string stateName, GrainId grain, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            var path = PathOf(stateName, grain);
            return ReadFile(path) is not { } file ? (null, default(T)) : (file.Etag, Deserialize<T>(path, file.Json));
        },
        cancellationToken);

    /// <summary>Returns the new ETag.</summary>
    public Task<string> WriteAsync<T>(string stateName, GrainId grain, string? etag, T state, CancellationToken cancellationToken)
    {
        // Before the first await: the grain may go on changing its state while the file is written.
        var json = JsonSerializer.SerializeToUtf8Bytes(state, WireJson.Stored);
        return Task.Run(
            () =>
            {
                var path = PathOf(stateName, grain);
                var next = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
                var header = string.Create(CultureInfo.InvariantCulture, $"{Magic} 1 {next} {Checksum(json):x8} {json.Length}\n");
                using (FileLock.Acquire(LockOf(path)))
                {
                    Verify(path, grain, etag);
                    Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                    DurableFile.Replace(path, [.. Encoding.ASCII.GetBytes(header), .. json], survivesPowerLoss: true);
                }

                return next;
            },
            cancellationToken);
    }

    public Task ClearAsync(string stateName, GrainId grain, string? etag, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            var path = PathOf(stateName, grain);
            using (FileLock.Acquire(LockOf(path)))
            {
                Verify(path, grain, etag);
                if (File.Exists(path))
                    DurableFile.Delete(path);
            }
        },
        cancellationToken);

    /// <summary>The file of a record: keys are escaped to what a file name may hold, and long ones end in a hash.</summary>
    public string PathOf(string stateName, GrainId grain)
    {
        var name = Uri.EscapeDataString(grain.Key.ToString()).Replace(".", "%2E", StringComparison.Ordinal);
        if (name.Length > 160)
            name = string.Concat(name.AsSpan(0, 120), "~", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(grain.Key.ToString())).AsSpan(0, 16)));
        return Path.Combine(_root, Uri.EscapeDataString(grain.Type.ToString()), $"{name}.{Uri.EscapeDataString(stateName)}.state");
    }

    private string LockOf(string path) => Path.Combine(_root, string.Create(CultureInfo.InvariantCulture, $".lock-{StableHash.Compute(path) % LockStripes:00}"));

    private void Verify(string path, GrainId grain, string? etag)
    {
        _silo.Membership.EnsureAlive();
        var stored = ReadFile(path)?.Etag;
        if (stored != etag)
            throw new InconsistentStateException(
                $"The record of {grain} in {path} was changed by someone else: it has ETag {stored ?? "none"}, the writer has {etag ?? "none"}. Read it again.", stored, etag);
    }

    private static (string Etag, ReadOnlyMemory<byte> Json)? ReadFile(string path)
    {
        byte[] content;
        try
        {
            content = File.ReadAllBytes(path);
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }

        var end = content.AsSpan(0, Math.Min(content.Length, MaxHeaderBytes)).IndexOf((byte)'\n');
        var fields = end < 0 ? [] : Encoding.ASCII.GetString(content, 0, end).Split(' ');
        var json = content.AsMemory(end + 1);
        if (fields.Length != 5 || fields[0] != Magic || fields[1] != "1")
            throw new OrleansException($"The grain record {path} is damaged: its first line is not that of a grain record. Restore the file from a backup, or delete it to lose the record.");
        if (fields[4] != json.Length.ToString(CultureInfo.InvariantCulture) || fields[3] != Checksum(json.Span).ToString("x8", CultureInfo.InvariantCulture))
            throw new OrleansException($"The grain record {path} is damaged: its content does not match its checksum. Restore the file from a backup, or delete it to lose the record.");
        return (fields[2], json);
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
            crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }

    private static T? Deserialize<T>(string path, ReadOnlyMemory<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json.Span, WireJson.Stored);
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            throw new OrleansException($"The grain record {path} is no {typeof(T).Name}; it was written by another version. Run that version, or delete the file to lose the record.", exception);
        }
    }
}

/// <summary>A stored record of one grain, as its constructor gets it.</summary>
internal sealed class PersistentState<TState>(EmbeddedGrainStorage storage, string stateName, GrainId grain) : IPersistentState<TState>, IStorage
{
    public TState State { get; set; } = Create();

    public string? Etag { get; private set; }

    public bool RecordExists => Etag is not null;

    public Task ReadStateAsync() => ReadStateAsync(CancellationToken.None);

    public Task WriteStateAsync() => WriteStateAsync(CancellationToken.None);

    public Task ClearStateAsync() => ClearStateAsync(CancellationToken.None);

    public async Task ReadStateAsync(CancellationToken cancellationToken)
    {
        var (etag, state) = await storage.ReadAsync<TState>(stateName, grain, cancellationToken);
        Etag = etag;
        State = etag is null || state is null ? Create() : state;
    }

    public async Task WriteStateAsync(CancellationToken cancellationToken) =>
        Etag = await storage.WriteAsync(stateName, grain, Etag, State, cancellationToken);

    public async Task ClearStateAsync(CancellationToken cancellationToken)
    {
        await storage.ClearAsync(stateName, grain, Etag, cancellationToken);
        Etag = null;
        State = Create();
    }

    private static TState Create() => typeof(TState).IsValueType || typeof(TState) == typeof(string) ? default! : Activator.CreateInstance<TState>();
}
