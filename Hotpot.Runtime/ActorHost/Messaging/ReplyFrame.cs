using System.Text.Json;

namespace Hotpot.Actors;

/// <summary>The answer to a request: a result or an exception, and which silo gave it.</summary>
internal readonly record struct ReplyFrame(bool Failed, SiloAddress? Location, FrameBody Body)
{
    public static ReplyFrame Read(ReadOnlyMemory<byte> frame)
    {
        var reader = new FrameReader(frame[Frame.CorrelationAt..]);
        reader.ReadInt64();
        var failed = reader.ReadByte() != 0;
        var number = reader.ReadInt32();
        var generation = reader.ReadInt32();
        if (number is < 0 or > ushort.MaxValue)
            throw new BadFrameException($"A reply names silo number {number}.");
        var location = number == 0 ? null : SiloAddress.New(System.Net.IPAddress.Loopback, number, generation);
        return new ReplyFrame(failed, location, reader.ReadBody());
    }

    public Exception ReadException()
    {
        using var document = JsonDocument.Parse(Body.Json);
        using (WireJson.Reading(Body.Segments))
            return ExceptionCodec.Read(document.RootElement);
    }

    /// <summary>
    /// Sends the result of a task that succeeded; if the result cannot travel, an exception that says why.
    /// </summary>
    public static void SendResult(Connection connection, long correlation, SiloAddress location, MethodShape shape, Task finished)
    {
        try
        {
            using var frame = Begin(correlation, failed: false, location);
            shape.WriteResult(finished, frame);
            connection.Send(frame);
        }
        catch (Exception exception)
        {
            // Writing runs code of the result's type, which may throw anything; the caller must hear of it.
            SendFailure(connection, correlation, location, new OrleansException(
                $"The result of {shape.Name} could not be sent: {exception.Message}", exception));
        }
    }

    public static void SendFailure(Connection connection, long correlation, SiloAddress? location, Exception exception)
    {
        try
        {
            using var frame = Begin(correlation, failed: true, location);
            frame.WriteBody(exception, static (json, failure) => ExceptionCodec.Write(json, failure));
            connection.Send(frame);
        }
        catch (Exception unsendable)
        {
            // Not even the failure fits or can be written. Without an answer the caller would wait for its time-out; a
            // closed connection tells it now.
            connection.Close(unsendable);
        }
    }

    public static FrameWriter Begin(long correlation, bool failed, SiloAddress? location)
    {
        var frame = new FrameWriter(FrameKind.Reply);
        frame.WriteInt64(correlation);
        frame.WriteByte(failed ? (byte)1 : (byte)0);
        frame.WriteInt32(location?.Endpoint.Port ?? 0);
        frame.WriteInt32(location?.Generation ?? 0);
        return frame;
    }
}
