namespace Hotpot.Demo.Orchestration;

/// <summary>The demo cannot go on; the message is for the one who started it.</summary>
internal sealed class DemoException(string message) : Exception(message);
