using Hotpot.Cli;
using Hotpot.Cli.Cluster;
using Hotpot.Cli.Processes;

namespace Hotpot.Tests.Cli;

public sealed class ClusterFolderTests : IDisposable
{
    private readonly DirectoryInfo _temporary = Directory.CreateTempSubdirectory("hotpot-tests-");

    private ClusterFolder Folder => new(_temporary.FullName);

    [Fact]
    public void What_was_saved_is_loaded_again()
    {
        var state = new ClusterState("pmem", [new NodeRecord("node-1", "data-1", new ProcessIdentity(12, 345, "boot")), new NodeRecord("node-2", "data-2", null)]);

        Folder.Save(state);
        var loaded = Folder.Load();

        Assert.Equal(state.Medium, loaded.Medium);
        Assert.Equal(state.Nodes, loaded.Nodes);
    }

    [Fact]
    public void A_folder_without_a_cluster_is_not_found()
    {
        Assert.Null(Folder.TryLoad());
        Assert.Equal(ExitCodes.NotFound, Assert.Throws<CommandException>(() => Folder.Load()).ExitCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{ \"medium\": ")]
    public void A_damaged_record_is_reported_not_replaced(string content)
    {
        File.WriteAllText(Path.Combine(_temporary.FullName, "cluster.json"), content);

        Assert.Equal(ExitCodes.Failed, Assert.Throws<CommandException>(() => Folder.Load()).ExitCode);
    }

    [Fact]
    public void Only_one_command_changes_a_cluster_at_a_time()
    {
        using (Folder.Lock())
            Assert.Equal(ExitCodes.Unavailable, Assert.Throws<CommandException>(() => Folder.Lock()).ExitCode);
        using var again = Folder.Lock();
        Assert.True(again.CanWrite);
    }

    [Fact]
    public void The_key_is_made_once_and_readable_by_its_owner_only()
    {
        Folder.EnsureKey();
        var key = File.ReadAllText(Folder.KeyFile);
        Folder.EnsureKey();

        Assert.Equal(64, key.Trim().Length);
        Assert.Equal(key, File.ReadAllText(Folder.KeyFile));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Folder.KeyFile));
    }

    [Fact]
    public void The_report_of_an_earlier_process_does_not_count()
    {
        var now = ProcessIdentity.Of(Environment.ProcessId);
        var node = new NodeRecord("node-1", _temporary.FullName, now);
        Write(pid: 1);
        Assert.Null(SiloReport.Of(node));

        Write(Environment.ProcessId);
        Assert.True(SiloReport.Of(node)!.IsReady);
        Assert.Null(SiloReport.Of(node with { Process = now! with { StartTicks = 1 } }));

        void Write(int pid) => File.WriteAllText(
            Path.Combine(_temporary.FullName, "status.json"),
            $$"""{ "state": "ready", "pid": {{pid}}, "node": "00000000000000aa", "incarnation": 3, "fabric_address": "a:1", "actor_host": "Embedded" }""");
    }

    public void Dispose() => _temporary.Delete(recursive: true);
}
