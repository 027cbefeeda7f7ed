namespace Hotpot.Graph.Engine;

/// <summary>Values outside the managed heap, on huge pages: they are read in random order, and a TLB has few entries.</summary>
internal sealed unsafe class HugeArray<T>(uint count) : IDisposable
    where T : unmanaged
{
    // Freed, and set to null, by Dispose.
    private T* _start = (T*)HugePages.Allocate((nuint)count * (nuint)sizeof(T));

    public T* Start => _start;

    public void Dispose()
    {
        HugePages.Free(_start);
        _start = null;
    }
}
