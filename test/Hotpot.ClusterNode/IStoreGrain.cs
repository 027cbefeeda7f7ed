namespace Hotpot.ClusterNode;

/// <summary>The record stores that are open in one node's process. Its key is the node's id.</summary>
[Alias("hotpot.test.IStoreGrain")]
public interface IStoreGrain : IGrainWithStringKey
{
    [Alias("Create")]
    [ResponseTimeout("00:02:00")]
    Task CreateAsync(string store, long bytes, long stripeBytes, int degree);

    [Alias("Put")]
    [ResponseTimeout("00:02:00")]
    Task PutAsync(string store, string key, byte[] value);

    [Alias("Delete")]
    [ResponseTimeout("00:02:00")]
    Task<bool> DeleteAsync(string store, string key);

    /// <summary>Null: there is none.</summary>
    [Alias("Read")]
    [ResponseTimeout("00:02:00")]
    Task<byte[]?> ReadAsync(string store, string key);

    /// <summary>Checks the whole store and returns all records.</summary>
    [Alias("ReadAll")]
    [ResponseTimeout("00:02:00")]
    Task<Dictionary<string, byte[]>> ReadAllAsync(string store);
}
