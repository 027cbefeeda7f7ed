namespace Hotpot.Runtime;

/// <summary>A dataset of this id is open with other properties.</summary>
[GenerateSerializer]
public sealed class DatasetMismatchException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NameInUse;
}

/// <summary>There is no dataset of this name or id.</summary>
[GenerateSerializer]
public sealed class DatasetNotFoundException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.NotFound;

    public static DatasetNotFoundException Named(string name) =>
        new($"There is no dataset named '{name}'; list the names, or create it first.");

    public static DatasetNotFoundException WithId(DatasetId id) =>
        new($"There is no dataset with id {id}; it was removed, or never created.");
}

/// <summary>The name of a dataset to create is taken.</summary>
[GenerateSerializer]
public sealed class DatasetExistsException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.DatasetExists;

    public static DatasetExistsException Named(string name) =>
        new($"A dataset named '{name}' exists already; open it, remove it, or choose another name.");
}

/// <summary>A dataset's name is empty, too long, or contains a control character.</summary>
[GenerateSerializer]
public sealed class InvalidDatasetNameException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.InvalidName;

    public static InvalidDatasetNameException Empty() =>
        new($"A dataset's name must not be empty; give it 1 to {Limits.MaxNameBytes} bytes.");

    public static InvalidDatasetNameException TooLong(int bytes) =>
        new($"The dataset's name is {bytes} bytes long; shorten it to at most {Limits.MaxNameBytes} bytes of UTF-8.");

    public static InvalidDatasetNameException ControlCharacter() =>
        new("The dataset's name contains a control character; use printable characters only.");
}

/// <summary>A range does not lie inside its dataset.</summary>
[GenerateSerializer]
public sealed class RangeOutsideDatasetException(string message) : HotpotException(message)
{
    public override HotpotStatus Status => HotpotStatus.Range;

    public static RangeOutsideDatasetException Of(ByteRange range, long size, string dataset) =>
        new($"Bytes {range} are outside dataset '{dataset}', which has {size} bytes; give an offset and a length inside it.");
}
