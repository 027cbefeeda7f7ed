namespace Hotpot.Actors;

/// <summary>The first frames of a connection: who calls, of which cluster, and the answer.</summary>
internal static class Handshake
{
    public const int Version = 1;

    private const int Magic = 0x31415048;

    /// <summary>Who calls. A client has no address.</summary>
    public readonly record struct Hello(string ClusterId, string ServiceId, SiloAddress? Silo);

    public static FrameWriter WriteHello(Hello hello)
    {
        var frame = new FrameWriter(FrameKind.Hello);
        frame.WriteInt32(Magic);
        frame.WriteInt32(Version);
        frame.WriteString(hello.ClusterId);
        frame.WriteString(hello.ServiceId);
        frame.WriteInt32(hello.Silo?.Endpoint.Port ?? 0);
        frame.WriteInt32(hello.Silo?.Generation ?? 0);
        return frame;
    }

    public static Hello ReadHello(ReadOnlyMemory<byte> frame)
    {
        var reader = new FrameReader(frame[Frame.CorrelationAt..]);
        if (reader.ReadInt32() != Magic)
            throw new BadFrameException("The peer does not speak the protocol of the embedded actor host.");
        var version = reader.ReadInt32();
        if (version != Version)
            throw new BadFrameException(
                $"The peer speaks version {version} of the protocol, this silo version {Version}; run the same version everywhere.");
        var cluster = reader.ReadString();
        var service = reader.ReadString();
        var number = reader.ReadInt32();
        var generation = reader.ReadInt32();
        if (number is < 0 or > ushort.MaxValue)
            throw new BadFrameException($"The peer claims to be silo number {number}.");
        return new Hello(cluster, service, number == 0 ? null : SiloAddress.New(System.Net.IPAddress.Loopback, number, generation));
    }

    public static FrameWriter WriteRefusal(string reason)
    {
        var frame = new FrameWriter(FrameKind.Refuse);
        frame.WriteString(reason);
        return frame;
    }

    public static string ReadRefusal(ReadOnlyMemory<byte> frame)
    {
        var reader = new FrameReader(frame[Frame.CorrelationAt..]);
        return reader.ReadString();
    }
}
