using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;

namespace Hotpot.PackageGraph;

/// <summary>Reads and writes a <see cref="DependencyGraph"/> as one small compressed file.</summary>
/// <remarks>
/// Problem: the demo needs a real graph in the repository, a few hundred KiB and not several MiB, the same bytes whenever
/// the tool runs on the same lists.
///
/// Scheme: one Brotli stream (quality 11, window 24) around this payload. A varint is an unsigned LEB128 number of at most
/// five bytes.
///
///   payload  = magic version vertices edges name* row* digest
///   magic    = "HPDG"                        four ASCII bytes
///   version  = u16, little endian            1
///   vertices = varint                        at most VertexMax
///   edges    = varint                        at most EdgeMax
///   name     = varint shared, varint length, length bytes of UTF-8
///                                            in ordinal order; `shared` bytes are those of the name before
///   row      = varint degree, varint gap*    one row per name; targets ascending, each as the gap from the one
///                                            before, the first as the gap from zero
///   digest   = 32 bytes                      SHA-256 of everything before it
///
/// Worked example: two packages "a" and "ab", where "ab" depends on "a":
///   48 50 44 47  01 00  02  01  | 00 01 61 | 01 01 62 |  00 | 01 00 |  (digest)
///   H  P  D  G   v1     n=2 m=1   "a"        "a"+"b"     a: -  ab: 0
///
/// Bad input: the reader trusts nothing. Bounds are checked before memory is taken, and every fault is an
/// <see cref="InvalidDataException"/> that says what was wrong. The digest is checked before the graph is given away.
///
/// Potential weakness: determinism rests on the Brotli encoder, which may change its output between .NET releases. The payload and
/// its digest do not change then, only the compressed bytes.
/// </remarks>
public static class DependencyGraphFile
{
    private const ushort Version = 1;

    // A name of Debian is well below this, and so is everything that the demo can hold in memory.
    private const int NameBytesMax = 1024;
    private const int VertexMax = 1 << 24;
    private const int EdgeMax = 1 << 26;

    // 2^26 edges of at most five bytes and 2^24 names of at most ten bytes of head each stay below 1 GiB; the demo's payload has about 2 MB.
    private const int PayloadBytesMax = 1 << 30;

    private static ReadOnlySpan<byte> Magic => "HPDG"u8;

    public static void Write(Stream stream, DependencyGraph graph)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(graph);
        var payload = Encode(graph);
        var compressed = new byte[BrotliEncoder.GetMaxCompressedLength(payload.Length)];
        if (!BrotliEncoder.TryCompress(payload, compressed, out var written, quality: 11, window: 24))
            throw new InvalidOperationException("The graph could not be compressed into a buffer of the size the encoder asked for.");
        stream.Write(compressed, 0, written);
    }

    public static DependencyGraph Read(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Decode(Decompress(stream));
    }

    public static DependencyGraph Read(string path)
    {
        using var stream = File.OpenRead(path);
        return Read(stream);
    }

    private static byte[] Encode(DependencyGraph graph)
    {
        using var payload = new MemoryStream();
        payload.Write(Magic);
        Span<byte> version = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(version, Version);
        payload.Write(version);
        WriteVarint(payload, graph.VertexCount);
        WriteVarint(payload, graph.EdgeCount);
        byte[] previous = [];
        for (var vertex = 0; vertex < graph.VertexCount; vertex++)
        {
            var name = Encoding.UTF8.GetBytes(graph.Name(vertex));
            var shared = name.AsSpan().CommonPrefixLength(previous);
            WriteVarint(payload, shared);
            WriteVarint(payload, name.Length - shared);
            payload.Write(name, shared, name.Length - shared);
            previous = name;
        }

        for (var vertex = 0; vertex < graph.VertexCount; vertex++)
        {
            WriteVarint(payload, graph.OutDegree(vertex));
            var last = 0;
            foreach (var target in graph.Targets(vertex))
            {
                WriteVarint(payload, target - last);
                last = target;
            }
        }

        payload.Write(SHA256.HashData(payload.GetBuffer().AsSpan(0, (int)payload.Length)));
        return payload.ToArray();
    }

    // The decoder itself is used, not BrotliStream, which takes a stream without its end for a whole one.
    private static byte[] Decompress(Stream stream)
    {
        using var file = new MemoryStream();
        stream.CopyTo(file);
        using var payload = new MemoryStream();
        var buffer = new byte[64 * 1024];
        var rest = file.GetBuffer().AsSpan(0, (int)file.Length);
        using var decoder = default(BrotliDecoder);
        while (true)
        {
            var status = decoder.Decompress(rest, buffer, out var consumed, out var written);
            rest = rest[consumed..];
            if (payload.Length + written > PayloadBytesMax)
                throw new InvalidDataException($"The graph file expands to more than {PayloadBytesMax} bytes.");
            payload.Write(buffer, 0, written);
            if (status == OperationStatus.Done && rest.IsEmpty)
                return payload.ToArray();
            if (status != OperationStatus.DestinationTooSmall)
                throw new InvalidDataException(status == OperationStatus.Done ? "The graph file goes on after its end." : "The graph file is not a whole Brotli stream.");
        }
    }

    private static DependencyGraph Decode(byte[] payload)
    {
        if (payload.Length < Magic.Length + sizeof(ushort) + SHA256.HashSizeInBytes || !payload.AsSpan().StartsWith(Magic))
            throw new InvalidDataException("This is not a graph file: it does not start with HPDG.");
        var version = BinaryPrimitives.ReadUInt16LittleEndian(payload.AsSpan(Magic.Length));
        if (version != Version)
            throw new InvalidDataException($"The graph file has version {version}, and this program reads version {Version}.");
        var body = payload.AsSpan(0, payload.Length - SHA256.HashSizeInBytes);
        if (!SHA256.HashData(body).AsSpan().SequenceEqual(payload.AsSpan(body.Length)))
            throw new InvalidDataException("The graph file is damaged: its digest does not match its content.");

        var reader = new PayloadReader(body[(Magic.Length + sizeof(ushort))..]);
        var names = new string[reader.ReadVarint(VertexMax, "number of vertices")];
        var targets = new int[reader.ReadVarint(EdgeMax, "number of edges")];
        Span<byte> name = stackalloc byte[NameBytesMax];
        var nameLength = 0;
        for (var vertex = 0; vertex < names.Length; vertex++)
        {
            var shared = reader.ReadVarint(nameLength, "shared length of a name");
            var length = reader.ReadVarint(NameBytesMax - shared, "length of a name");
            reader.ReadBytes(length).CopyTo(name[shared..]);
            nameLength = shared + length;
            names[vertex] = Encoding.UTF8.GetString(name[..nameLength]);
        }

        var starts = new int[names.Length + 1];
        for (var vertex = 0; vertex < names.Length; vertex++)
        {
            var start = starts[vertex];
            var degree = reader.ReadVarint(targets.Length - start, "degree of a vertex");
            var last = 0;
            for (var edge = start; edge < start + degree; edge++)
                targets[edge] = last += reader.ReadVarint(names.Length - 1 - last, "gap between targets");
            starts[vertex + 1] = start + degree;
        }

        if (starts[^1] != targets.Length || !reader.AtEnd)
            throw new InvalidDataException("The graph file has more or fewer edges than its head says.");
        try
        {
            return new DependencyGraph(names, starts, targets);
        }
        catch (ArgumentException exception)
        {
            throw new InvalidDataException($"The graph file breaks a rule of the format: {exception.Message}", exception);
        }
    }

    private static void WriteVarint(Stream stream, int value)
    {
        var rest = (uint)value;
        while (rest >= 0x80)
        {
            stream.WriteByte((byte)(rest | 0x80));
            rest >>= 7;
        }

        stream.WriteByte((byte)rest);
    }

    /// <summary>Walks the payload and refuses to leave it.</summary>
    private ref struct PayloadReader(ReadOnlySpan<byte> payload)
    {
        private ReadOnlySpan<byte> _rest = payload;

        public readonly bool AtEnd => _rest.IsEmpty;

        public int ReadVarint(int max, string what)
        {
            ulong value = 0;
            for (var shift = 0; ; shift += 7)
            {
                if (_rest.IsEmpty || shift > 28)
                    throw new InvalidDataException($"The graph file ends, or has a number of more than five bytes, in the {what}.");
                var current = _rest[0];
                _rest = _rest[1..];
                value |= (ulong)(current & 0x7f) << shift;
                if (current < 0x80)
                    break;
            }

            if (value > (ulong)max)
                throw new InvalidDataException($"The {what} in the graph file is {value}; at most {max} is possible there.");
            return (int)value;
        }

        public ReadOnlySpan<byte> ReadBytes(int length)
        {
            if (length > _rest.Length)
                throw new InvalidDataException("The graph file ends within a name.");
            var bytes = _rest[..length];
            _rest = _rest[length..];
            return bytes;
        }
    }
}
