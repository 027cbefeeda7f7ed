namespace Hotpot.Bench.Peers;

/// <summary>A program to compare with is not on this machine; the message is what a report says about the cases that were skipped.</summary>
internal sealed class PeerNotInstalledException(string program)
    : Exception($"{program} is not installed; ./hotpot bench --setup installs it");
