namespace Hotpot.Store;

/// <summary>There is no room left where the record belongs; nothing was changed.</summary>
public sealed class StoreFullException(string message) : HotpotException(message);

/// <summary>The bytes of the dataset are not what a store leaves behind.</summary>
public sealed class StoreCorruptException(string message) : HotpotException(message);
