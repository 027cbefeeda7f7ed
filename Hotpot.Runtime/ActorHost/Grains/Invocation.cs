using System.Buffers.Binary;

namespace Hotpot.Actors;

/// <summary>
/// One request to a grain on its way: made in this process, received from another, or a tick of a timer.
/// </summary>
internal abstract class Invocation
{
    public abstract GrainId GrainId { get; }

    /// <summary>The name for messages to people.</summary>
    public abstract string Name { get; }

    public abstract bool AlwaysInterleave { get; }

    public abstract bool ReadOnly { get; }

    /// <summary>When nobody waits for the answer any more, by Stopwatch.GetTimestamp.</summary>
    public long Deadline { get; protected set; } = long.MaxValue;

    /// <summary>
    /// Runs the request on the grain and answers it. Called in a turn. Returns the exception the grain threw, if any.
    /// </summary>
    public abstract Task<Exception?> RunAsync(object grain);

    /// <summary>Answers the request with an exception. Only the first answer counts.</summary>
    public abstract void Fail(Exception exception);

    /// <summary>Answers that the time is over.</summary>
    public abstract void Expire();
}

/// <summary>An invocation that can be sent to the silo that has the grain.</summary>
internal abstract class RoutableCall : Invocation, IReplySink
{
    /// <summary>
    /// The class of the grain, once a silo has looked it up. Written by the router, before the call is anywhere else.
    /// </summary>
    public GrainClass? Class { get; set; }

    /// <summary>How many silos have passed the call on.</summary>
    public abstract int Hops { get; }

    public abstract void SendTo(Connection connection);

    public abstract void OnReply(ReadOnlyMemory<byte> frame);

    public abstract void OnConnectionLost(Exception reason);
}

/// <summary>
/// A call made in this process. Its first outcome is what the caller sees: a result, an exception, cancellation or a
/// time-out.
/// </summary>
internal abstract class OutgoingCall(GrainReference target, MethodShape shape, object?[] arguments) : RoutableCall
{
    private readonly CancellationToken _cancellation =
        shape.CancellationIndex >= 0 ? (CancellationToken)arguments[shape.CancellationIndex]! : CancellationToken.None;

    private CancellationTokenRegistration _registration;
    private CallClock? _clock;

    // Written by whoever gives the first answer.
    private int _answered;

    // Written by the router when the call is sent; read when it is cancelled.
    private volatile Connection? _connection;
    private long _correlation;

    public override GrainId GrainId => target.GrainId;

    public override string Name => $"{shape.Name} to {target.GrainId}";

    public override bool AlwaysInterleave => shape.AlwaysInterleave;

    public override bool ReadOnly => shape.ReadOnly;

    public override int Hops => 0;

    public MethodShape Shape => shape;

    public bool IsAnswered => Volatile.Read(ref _answered) != 0;

    /// <summary>
    /// Where the answer came from, when it came from another silo. Written before the answer is given.
    /// </summary>
    public Action<GrainId, SiloAddress>? Learn { get; set; }

    public bool Begin(CallClock clock, TimeSpan timeout)
    {
        _clock = clock;
        Deadline = CallClock.DeadlineAfter(shape.Timeout ?? timeout);
        clock.Add(this);
        if (_cancellation.CanBeCanceled)
            _registration = _cancellation.UnsafeRegister(static call => ((OutgoingCall)call!).Cancel(), this);
        return !IsAnswered;
    }

    /// <summary>Makes the arguments independent of the caller, for a grain in this process.</summary>
    public void PrepareLocal() => arguments = shape.CopyArguments(arguments);

    public override async Task<Exception?> RunAsync(object grain)
    {
        if (IsAnswered)
            return null;
        var running = shape.InvokeAsync(grain, arguments);
        try
        {
            await running;
        }
        catch (Exception exception)
        {
            Fail(exception);
            return exception;
        }

        if (TryAnswer())
        {
            try
            {
                SetResult(running);
            }
            catch (Exception exception)
            {
                // Copying runs code of the result's type, which may throw anything; the caller must hear of it.
                SetException(exception);
            }
        }

        return null;
    }

    public override void SendTo(Connection connection)
    {
        using var frame = new FrameWriter(FrameKind.Request);
        frame.WriteInt64(0);
        frame.WriteByte(0);
        frame.WriteInt32((int)Math.Clamp(CallClock.Until(Deadline).TotalMilliseconds, 1, int.MaxValue));
        frame.WriteString(shape.Interface.Name);
        frame.WriteString(target.GrainId.Key.ToString());
        frame.WriteInt32(unchecked((int)shape.Id));
        frame.WriteBody((shape, arguments), static (json, call) => call.shape.WriteArguments(json, call.arguments));
        _correlation = connection.Expect(this);
        _connection = connection;
        frame.Patch(Frame.CorrelationAt, _correlation);
        try
        {
            connection.Send(frame);
        }
        catch (OrleansException)
        {
            connection.Forget(_correlation);
            throw;
        }

        if (IsAnswered && connection.Forget(_correlation))
            connection.SendCancel(_correlation);
    }

    public override void OnReply(ReadOnlyMemory<byte> frame)
    {
        var reply = ReplyFrame.Read(frame);
        if (reply.Location is { } location)
            Learn?.Invoke(GrainId, location);
        if (!TryAnswer())
            return;
        try
        {
            if (reply.Failed)
                SetException(reply.ReadException());
            else
                SetResult(reply.Body);
        }
        catch (Exception exception)
        {
            // Reading runs code of the result's type, which may throw anything; the caller must hear of it.
            SetException(new OrleansException(
                $"The answer of {Name} could not be read; all silos and clients must run the same version.", exception));
        }
    }

    public override void OnConnectionLost(Exception reason) => Fail(new SiloUnavailableException(
        $"The silo went away during {Name}; whether the call was carried out is unknown. {reason.Message}", reason));

    public override void Fail(Exception exception)
    {
        if (TryAnswer())
            SetException(exception);
    }

    public override void Expire()
    {
        if (!TryAnswer())
            return;
        SetException(new TimeoutException(
            $"{Name} was not answered within {(shape.Timeout ?? target.Factory.ResponseTimeout).TotalSeconds:0.###} s; whether it was carried out is unknown."));
        Abandon();
    }

    protected abstract void SetResult(Task finished);

    protected abstract void SetResult(FrameBody body);

    protected abstract void SetException(Exception exception);

    private void Cancel()
    {
        if (!TryAnswer())
            return;
        SetException(new OperationCanceledException(
            $"{Name} was cancelled by its caller; whether it was carried out is unknown.", _cancellation));
        Abandon();
    }

    private bool TryAnswer()
    {
        if (Interlocked.Exchange(ref _answered, 1) != 0)
            return false;
        _clock?.Remove(this);

        // Never waits for a callback that is running: this may be that callback.
        _registration.Unregister();
        return true;
    }

    /// <summary>Nobody waits any more; a grain elsewhere that takes a token is told.</summary>
    private void Abandon()
    {
        if (_connection is { } connection && connection.Forget(_correlation))
            connection.SendCancel(_correlation);
    }
}

/// <summary>
/// A call received from a connection. It is carried out here, or passed on to the silo that has the grain.
/// </summary>
internal sealed class IncomingCall : RoutableCall
{
    private readonly Connection _from;
    private readonly ReadOnlyMemory<byte> _frame;
    private readonly FrameBody _body;
    private readonly long _correlation;
    private readonly Silo _silo;
    private readonly string _key;
    private readonly MethodShape _shape;
    private readonly CancellationTokenSource? _cancellation;

    private int _answered;

    // Written when the call is passed on.
    private volatile Connection? _passedTo;
    private long _passedCorrelation;

    private IncomingCall(Silo silo, Connection from, ReadOnlyMemory<byte> frame, MethodShape shape, string key, GrainClass grainClass, FrameBody body)
    {
        _silo = silo;
        _from = from;
        _frame = frame;
        _shape = shape;
        _key = key;
        _body = body;
        Class = grainClass;
        GrainId = GrainId.Create(grainClass.GrainType, key);
        _correlation = BinaryPrimitives.ReadInt64LittleEndian(frame.Span[Frame.CorrelationAt..]);
        Hops = frame.Span[Frame.HopsAt] + 1;
        Deadline = CallClock.DeadlineAfter(TimeSpan.FromMilliseconds(Math.Max(1, BinaryPrimitives.ReadInt32LittleEndian(frame.Span[Frame.TimeoutAt..]))));
        _cancellation = shape.CancellationIndex >= 0 ? new CancellationTokenSource() : null;
    }

    public override GrainId GrainId { get; }

    public override string Name => $"{_shape.Name} to {GrainId}";

    public override bool AlwaysInterleave => _shape.AlwaysInterleave;

    public override bool ReadOnly => _shape.ReadOnly;

    public override int Hops { get; }

    public long Correlation => _correlation;

    /// <summary>
    /// Reads a request. When it asks for something this silo does not have, the answer is sent here and null returned.
    /// </summary>
    public static IncomingCall? Accept(Silo silo, Connection from, ReadOnlyMemory<byte> frame)
    {
        var reader = new FrameReader(frame[Frame.CorrelationAt..]);
        var correlation = reader.ReadInt64();
        reader.ReadByte();
        reader.ReadInt32();
        var interfaceName = reader.ReadString();
        var key = reader.ReadString();
        var method = unchecked((uint)reader.ReadInt32());
        var body = reader.ReadBody();
        if (string.IsNullOrWhiteSpace(key))
            throw new BadFrameException("A request names no grain key.");
        if (silo.Classes.Find(interfaceName) is not { } found)
        {
            ReplyFrame.SendFailure(from, correlation, null, new OrleansException(
                $"No grain class of this silo implements {interfaceName}; all silos and clients must run the same version."));
            return null;
        }

        if (found.Interface.Find(method) is not { } shape)
        {
            ReplyFrame.SendFailure(from, correlation, null, new OrleansException(
                $"{interfaceName} has no such method here; all silos and clients must run the same version."));
            return null;
        }

        return new IncomingCall(silo, from, frame, shape, key, found.Class, body);
    }

    public override async Task<Exception?> RunAsync(object grain)
    {
        if (Volatile.Read(ref _answered) != 0)
            return null;
        object?[] arguments;
        try
        {
            arguments = _shape.ReadArguments(_body);
        }
        catch (Exception exception)
        {
            // Reading runs code of the arguments' types, which may throw anything; the caller must hear of it.
            Fail(new OrleansException(
                $"The arguments of {Name} could not be read; all silos and clients must run the same version.", exception));
            return null;
        }

        if (_cancellation is not null)
            arguments[_shape.CancellationIndex] = _cancellation.Token;
        var running = _shape.InvokeAsync(grain, arguments);
        try
        {
            await running;
        }
        catch (Exception exception)
        {
            Fail(exception);
            return exception;
        }

        if (TryAnswer())
            ReplyFrame.SendResult(_from, _correlation, _silo.SiloAddress, _shape, running);
        return null;
    }

    public override void SendTo(Connection connection)
    {
        _silo.Clock.Add(this);
        using var frame = new FrameWriter((FrameKind)_frame.Span[0]);
        frame.WriteBytes(_frame.Span[1..]);
        frame.Patch(Frame.HopsAt, (byte)Hops);
        frame.Patch(Frame.TimeoutAt, (int)Math.Clamp(CallClock.Until(Deadline).TotalMilliseconds, 1, int.MaxValue));
        _passedCorrelation = connection.Expect(this);
        _passedTo = connection;
        frame.Patch(Frame.CorrelationAt, _passedCorrelation);
        connection.Send(frame);
    }

    public override void OnReply(ReadOnlyMemory<byte> frame)
    {
        var reply = ReplyFrame.Read(frame);
        if (reply.Location is { } location)
            _silo.Learn(GrainId, location);
        if (!TryAnswer())
            return;
        using var passedBack = new FrameWriter(FrameKind.Reply);
        passedBack.WriteBytes(frame.Span[1..]);
        passedBack.Patch(Frame.CorrelationAt, _correlation);
        _from.Send(passedBack);
    }

    public override void OnConnectionLost(Exception reason) => Fail(new SiloUnavailableException(
        $"The silo went away during {Name}; whether the call was carried out is unknown. {reason.Message}", reason));

    public override void Fail(Exception exception)
    {
        if (TryAnswer())
            ReplyFrame.SendFailure(_from, _correlation, _silo.SiloAddress, exception);
    }

    public override void Expire() => Fail(new TimeoutException($"{Name} was not answered in time; whether it was carried out is unknown."));

    /// <summary>The caller no longer waits, or has gone.</summary>
    public void Cancel()
    {
        if (_passedTo is { } connection)
            connection.SendCancel(_passedCorrelation);
        else
            _cancellation?.Cancel();
    }

    private bool TryAnswer()
    {
        if (Interlocked.Exchange(ref _answered, 1) != 0)
            return false;
        _silo.Clock.Remove(this);
        _silo.Finished(_from, this);
        return true;
    }
}
