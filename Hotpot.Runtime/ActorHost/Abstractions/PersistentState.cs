namespace Hotpot.Actors;

/// <summary>A stored record of a grain.</summary>
public interface IStorage
{
    /// <summary>What the stored record was when it was last read or written; null when there was none.</summary>
    string? Etag { get; }

    bool RecordExists { get; }

    Task ClearStateAsync();

    Task WriteStateAsync();

    Task ReadStateAsync();

    Task ClearStateAsync(CancellationToken cancellationToken) => ClearStateAsync();

    Task WriteStateAsync(CancellationToken cancellationToken) => WriteStateAsync();

    Task ReadStateAsync(CancellationToken cancellationToken) => ReadStateAsync();
}

/// <inheritdoc cref="IStorage"/>
public interface IStorage<TState> : IStorage
{
    TState State { get; set; }
}

/// <summary>
/// A record that the host reads before the grain activates, and that the grain writes when it wants to.
/// </summary>
public interface IPersistentState<TState> : IStorage<TState>;

/// <summary>Marks the constructor parameter of a grain that takes a stored record.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public class PersistentStateAttribute : Attribute
{
    public PersistentStateAttribute(string stateName, string? storageName = null)
    {
        ArgumentNullException.ThrowIfNull(stateName);
        StateName = stateName;
        StorageName = storageName;
    }

    public string StateName { get; }

    /// <summary>The name of the storage; null for "Default".</summary>
    public string? StorageName { get; }
}
