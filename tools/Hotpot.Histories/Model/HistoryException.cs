namespace Hotpot.Histories;

/// <summary>The history breaks the rules of its own format, so no checker can say anything about it.</summary>
public sealed class HistoryException(string message, Exception? inner = null) : Exception(message, inner);
