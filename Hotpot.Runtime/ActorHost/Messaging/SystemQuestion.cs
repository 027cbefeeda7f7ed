using System.Text.Json;

namespace Hotpot.Actors;

/// <summary>A question from one silo to another about grains, not to a grain.</summary>
internal readonly record struct SystemQuestion(long Correlation, SystemOperation Operation, FrameBody Body)
{
    public static SystemQuestion Read(ReadOnlyMemory<byte> frame)
    {
        var reader = new FrameReader(frame[Frame.CorrelationAt..]);
        return new SystemQuestion(reader.ReadInt64(), (SystemOperation)reader.ReadByte(), reader.ReadBody());
    }

    public T Content<T>()
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(Body.Json.Span, WireJson.Call) ?? throw new BadFrameException(
                $"A silo sent an empty {typeof(T).Name}.");
        }
        catch (JsonException exception)
        {
            throw new BadFrameException($"A silo sent a {typeof(T).Name} that cannot be read: {exception.Message}");
        }
    }
}

/// <summary>Sends a question and waits for the answer.</summary>
internal sealed class SystemCall<TAnswer> : IReplySink
{
    private readonly TaskCompletionSource<TAnswer> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public static async Task<TAnswer> AskAsync(Connection connection, SystemOperation operation, object question, CancellationToken cancellationToken)
    {
        var call = new SystemCall<TAnswer>();
        using var frame = new FrameWriter(FrameKind.System);
        frame.WriteInt64(0);
        frame.WriteByte((byte)operation);
        frame.WriteBody(question, static (json, value) => JsonSerializer.Serialize(json, value, value.GetType(), WireJson.Call));
        var correlation = connection.Expect(call);
        frame.Patch(Frame.CorrelationAt, correlation);
        connection.Send(frame);
        try
        {
            return await call._answer.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            connection.Forget(correlation);
        }
    }

    public void OnReply(ReadOnlyMemory<byte> frame)
    {
        var reply = ReplyFrame.Read(frame);
        try
        {
            if (reply.Failed)
                _answer.TrySetException(reply.ReadException());
            else
                _answer.TrySetResult(JsonSerializer.Deserialize<TAnswer>(reply.Body.Json.Span, WireJson.Call)!);
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new BadFrameException($"The answer of a silo cannot be read: {exception.Message}");
        }
    }

    public void OnConnectionLost(Exception reason) => _answer.TrySetException(new SiloUnavailableException(reason.Message, reason));
}
