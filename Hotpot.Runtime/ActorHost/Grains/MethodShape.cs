using System.Collections.Concurrent;
using System.Reflection;
using System.Text.Json;

namespace Hotpot.Actors;

/// <summary>
/// What the host knows of one method of a grain interface. It is made once per process and method, so a call costs no
/// reflection beyond an invoker's.
/// </summary>
internal abstract class MethodShape
{
    private readonly MethodInvoker _invoker;
    private readonly bool[] _immutable;

    protected MethodShape(InterfaceShape owner, MethodInfo method)
    {
        Interface = owner;
        Name = $"{owner.Type.Name}.{method.Name}";
        var parameters = method.GetParameters();
        if (parameters.Any(parameter => parameter.ParameterType.IsByRef))
            throw new NotSupportedException($"{Name} has a ref, in or out parameter, which cannot travel; return the value instead.");
        ParameterTypes = [.. parameters.Select(parameter => parameter.ParameterType)];
        _immutable = [.. parameters.Select(parameter => parameter.IsDefined(typeof(ImmutableAttribute)))];
        CancellationIndex = Array.IndexOf(ParameterTypes, typeof(CancellationToken));
        AlwaysInterleave = method.IsDefined(typeof(AlwaysInterleaveAttribute));
        ReadOnly = method.IsDefined(typeof(ReadOnlyAttribute));
        Timeout = method.GetCustomAttribute<ResponseTimeoutAttribute>()?.Timeout;
        Id = StableHash.Compute($"{method.Name}({string.Join(',', ParameterTypes.Select(type => type.ToString()))})");
        ImmutableResult = method.ReturnParameter.IsDefined(typeof(ImmutableAttribute));
        _invoker = MethodInvoker.Create(method);
    }

    public InterfaceShape Interface { get; }

    /// <summary>For messages to people.</summary>
    public string Name { get; }

    /// <summary>The number of the method on the wire: a hash of its name and parameter types.</summary>
    public uint Id { get; }

    public Type[] ParameterTypes { get; }

    /// <summary>Which parameter is the cancellation token; negative when there is none.</summary>
    public int CancellationIndex { get; }

    public bool AlwaysInterleave { get; }

    public bool ReadOnly { get; }

    public TimeSpan? Timeout { get; }

    protected bool ImmutableResult { get; }

    public static MethodShape Create(InterfaceShape owner, MethodInfo method)
    {
        var result = method.ReturnType;
        var definition = result.IsGenericType ? result.GetGenericTypeDefinition() : null;
        var shape = result == typeof(Task) || result == typeof(ValueTask) ? typeof(Shape<>).MakeGenericType(typeof(NoResult))
            : definition == typeof(Task<>) || definition == typeof(ValueTask<>) ? typeof(Shape<>).MakeGenericType(result.GetGenericArguments()[0])
            : throw new NotSupportedException(
                $"{owner.Type.Name}.{method.Name} returns {result}; a grain method returns Task, Task<T>, ValueTask or ValueTask<T>.");
        return (MethodShape)Activator.CreateInstance(shape, owner, method)!;
    }

    /// <summary>
    /// A call from this process. The second value is what the caller gets: a task of the kind its method returns.
    /// </summary>
    public abstract (OutgoingCall Call, object Returned) NewCall(GrainReference target, object?[] arguments);

    /// <summary>Runs the method and gives its result as a task. Exceptions come in the task.</summary>
    public abstract Task InvokeAsync(object grain, object?[] arguments);

    /// <summary>Writes the result of a task that succeeded.</summary>
    public abstract void WriteResult(Task finished, FrameWriter frame);

    public object?[] CopyArguments(object?[] arguments)
    {
        var copies = new object?[arguments.Length];
        for (var i = 0; i < copies.Length; i++)
            copies[i] = ValueCopier.Copy(arguments[i], ParameterTypes[i], _immutable[i]);
        return copies;
    }

    public void WriteArguments(Utf8JsonWriter json, object?[] arguments)
    {
        json.WriteStartArray();
        for (var i = 0; i < arguments.Length; i++)
        {
            if (i == CancellationIndex)
                json.WriteNullValue();
            else
                JsonSerializer.Serialize(json, arguments[i], ParameterTypes[i], WireJson.Call);
        }

        json.WriteEndArray();
    }

    public object?[] ReadArguments(FrameBody body)
    {
        using var scope = WireJson.Reading(body.Segments);
        var reader = new Utf8JsonReader(body.Json.Span);
        var arguments = new object?[ParameterTypes.Length];
        reader.Read();
        for (var i = 0; i < arguments.Length; i++)
        {
            reader.Read();
            if (i == CancellationIndex)
                arguments[i] = CancellationToken.None;
            else
                arguments[i] = JsonSerializer.Deserialize(ref reader, ParameterTypes[i], WireJson.Call);
        }

        return arguments;
    }

    private object? Invoke(object grain, object?[] arguments)
    {
        try
        {
            return _invoker.Invoke(grain, arguments.AsSpan());
        }
        catch (TargetInvocationException exception) when (exception.InnerException is { } inner)
        {
            return Task.FromException(inner);
        }
    }

    /// <summary>Stands for the result of a method that has none.</summary>
    private readonly struct NoResult;

    private sealed class Shape<T>(InterfaceShape owner, MethodInfo method) : MethodShape(owner, method)
    {
        private readonly Type _returnType = method.ReturnType;

        public override (OutgoingCall Call, object Returned) NewCall(GrainReference target, object?[] arguments)
        {
            var call = new Call(target, this, arguments);
            object returned = !_returnType.IsValueType ? call.Result
                : typeof(T) == typeof(NoResult) ? new ValueTask(call.Result)
                : new ValueTask<T>(call.Result);
            return (call, returned);
        }

        public override Task InvokeAsync(object grain, object?[] arguments)
        {
            try
            {
                return Invoke(grain, arguments) switch
                {
                    Task task => task,
                    ValueTask<T> task => task.AsTask(),
                    ValueTask task => task.AsTask(),
                    _ => Task.FromException(new InvalidOperationException($"{Name} returned null; return a task.")),
                };
            }
            catch (Exception exception)
            {
                return Task.FromException(exception);
            }
        }

        public override void WriteResult(Task finished, FrameWriter frame)
        {
            if (typeof(T) == typeof(NoResult))
                frame.WriteEmptyBody();
            else
                frame.WriteBody(((Task<T>)finished).Result, static (json, value) => JsonSerializer.Serialize(json, value, WireJson.Call));
        }

        /// <summary>A call whose result is a T.</summary>
        private sealed class Call(GrainReference target, Shape<T> shape, object?[] arguments) : OutgoingCall(target, shape, arguments)
        {
            // Asynchronous, because the threads that complete it receive frames, watch membership or run another
            // grain's turn.
            private readonly TaskCompletionSource<T> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);

            public Task<T> Result => _result.Task;

            protected override void SetResult(Task finished)
            {
                var value = typeof(T) == typeof(NoResult)
                    ? default
                    : (T?)ValueCopier.Copy(((Task<T>)finished).Result, typeof(T), shape.ImmutableResult);
                _result.TrySetResult(value!);
            }

            protected override void SetResult(FrameBody body)
            {
                if (typeof(T) == typeof(NoResult))
                {
                    _result.TrySetResult(default!);
                    return;
                }

                using (WireJson.Reading(body.Segments))
                    _result.TrySetResult(JsonSerializer.Deserialize<T>(body.Json.Span, WireJson.Call)!);
            }

            protected override void SetException(Exception exception) => _result.TrySetException(exception);
        }
    }
}

/// <summary>What the host knows of one grain interface.</summary>
internal sealed class InterfaceShape
{
    private static readonly ConcurrentDictionary<Type, InterfaceShape> Shapes = new();

    private readonly Dictionary<MethodInfo, MethodShape> _byMethod = [];
    private readonly Dictionary<uint, MethodShape> _byId = [];

    private InterfaceShape(Type type)
    {
        Type = type;
        foreach (var method in type.GetInterfaces().Append(type).Where(part => part.IsAssignableTo(typeof(IGrain))).SelectMany(part => part.GetMethods()))
        {
            var shape = MethodShape.Create(this, method);
            _byMethod.Add(method, shape);
            if (!_byId.TryAdd(shape.Id, shape))
                throw new NotSupportedException($"{shape.Name} and {_byId[shape.Id].Name} have the same number on the wire; rename one.");
        }
    }

    public Type Type { get; }

    /// <summary>The name of the interface on the wire.</summary>
    public string Name => Type.FullName!;

    public static InterfaceShape Of(Type type)
    {
        if (!type.IsInterface || !type.IsAssignableTo(typeof(IGrainWithStringKey)))
            throw new ArgumentException($"{type} is no grain interface; derive it from IGrainWithStringKey.", nameof(type));
        return Shapes.GetOrAdd(type, static grainInterface => new InterfaceShape(grainInterface));
    }

    public MethodShape this[MethodInfo method] => _byMethod[method];

    public MethodShape? Find(uint id) => _byId.GetValueOrDefault(id);
}
