global using Hotpot.Runtime;
